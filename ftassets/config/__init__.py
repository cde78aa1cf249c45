"""What people configure: the loop file's schema, units, the home folder, the profile that picks the backends."""
