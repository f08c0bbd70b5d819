"""The room of Gluster: typed client, pool, volumes."""
