"""What an artifact is compared with, the comparison, and the certificate that comes of it."""
