"""Networks trained here: small classifiers of labelled pictures, whose weights follow from their spec alone."""
