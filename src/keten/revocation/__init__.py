"""End access everywhere, at once; later also in linked systems and for systems that retire."""
