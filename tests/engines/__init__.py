"""Jobs on real Hadoop."""
