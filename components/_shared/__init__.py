"""What several components need: contracts, storage, digests, the registry."""
