"""The room of image: the node image, from profile to artefacts."""
