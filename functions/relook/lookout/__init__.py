"""The Lookout for Vision API: the names, shapes and errors its clients know."""
