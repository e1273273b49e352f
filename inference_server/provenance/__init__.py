"""Where a result came from: a recipe to make it again, and content credentials that travel inside the files."""
