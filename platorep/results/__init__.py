"""Tables of scores, and the views of them that figures, the report and users share."""
