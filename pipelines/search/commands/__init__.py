"""The commands of ``xdetr-search``, one file a command."""
