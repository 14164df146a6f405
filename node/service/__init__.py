"""Services that jobs expose: how strangers reach them, and whether they are well."""
