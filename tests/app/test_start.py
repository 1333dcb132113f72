"""What building the app does, before anybody asks it anything."""

from app import create_app
from core.settings import Settings
from ingest.store.reader import Reader


class WatchedReader(Reader):
    """Tells how often the database was asked for."""

    opened = 0

    def symbols(self):
        self.opened += 1
        return super().symbols()


def test_the_store_is_not_opened_before_the_server_forks(market_url):
    reader = WatchedReader(market_url)
    desk = create_app(Settings.from_mapping({}), reader)
    assert reader.opened == 0
    client = desk.server.test_client()
    assert "pair" in client.get("/_dash-layout").get_data(as_text=True)
    assert reader.opened > 0
    reader.close()


def test_a_first_start_does_not_complain_about_the_database_it_is_about_to_make(tmp_path, capsys):
    reader = Reader(f"sqlite:///{tmp_path}/none.db")
    create_app(Settings.from_mapping({}), reader)
    assert capsys.readouterr().out == ""
    reader.close()
