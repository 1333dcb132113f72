"""What stands around every view: the html page, header, notices and toasts."""
