"""Files of the Hugging Face hub by requests of wtool's own: the hub's package fetches ranges one after the other."""

from __future__ import annotations

from wtool.io.remote.retrying import retried
from wtool.io.remote.stores import Store


def on_the_web(store: Store) -> Store | None:
    """Returns the place on the web of a file of the hub; None where only the hub's package can read the file.

    Raises:
        FileNotFoundError: there is no such repository or revision, or it is not shown without a login.
    """
    try:
        import aiohttp  # noqa: F401 - fsspec needs it for the web
        import fsspec
        from huggingface_hub import hf_hub_url
    except ImportError:
        return None
    system = store.system
    found = retried(lambda: system.resolve_path(store.path))
    if not hasattr(found, "repo_id"):  # a bucket
        return None
    url = hf_hub_url(
        found.repo_id, found.path_in_repo, repo_type=found.repo_type, revision=found.revision, endpoint=system.endpoint
    )
    return Store(fsspec.filesystem("https", headers=system._api._build_hf_headers()), url, store.address)
