"""Files that keep what must not be lost; they know no manager and no agent."""
