"""Acceptance of a migration: what the new system holds is proven, signed for, and checked again after a restore."""
