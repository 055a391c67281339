"""Retrievers of suite R: BM25, embeddings, an HTTP service, and the fusion of several."""
