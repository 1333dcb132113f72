"""Parts of the page: functions that return component trees and know no state."""
