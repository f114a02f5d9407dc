"""Recorded decisions run again under another policy: whom it would have asked, what that would have cost, how good."""
