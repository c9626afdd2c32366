"""The load generators: processes of their own, so that their work is not the server's."""
