"""What models say of themselves: descriptions beside them and within them, a file a format."""
