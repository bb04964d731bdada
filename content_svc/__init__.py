"""The content service: what parts say, where they stand in the tree, and every version they have had."""
