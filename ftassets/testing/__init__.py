"""For tests of ftassets, and of backends and projects built on it. `pip install 'ftassets[testing]'` brings what it needs.

**A backend of your own** passes the same tests as ours. `contracts/` has one class of tests for each capability:
`artifacts` and `control` where they exist, `dataset_store`, `embedder`, `evaluator`, `notifier`, `registry`, `serving`, `signer`,
`traffic_log`, `trainer` and `vector_store`. Subclass it in a test file, with the one fixture its docstring asks for:

    from pathlib import Path

    import pytest

    from ftassets.testing.contracts.dataset_store import DatasetStoreContract, MakeStore
    from my_package import MyStore


    class TestMyStore(DatasetStoreContract):
        @pytest.fixture
        def make(self) -> MakeStore:
            return lambda folder: MyStore(folder / "datasets")

pytest then runs every test of the contract. A test that your backend cannot pass is a promise that some caller relies on.

**Doubles** stand in for servers. Each is a real server on loopback, or a backend that passes the contract:

- `doubles/http.py`: an HTTP server with scripted replies, which remembers what it was sent.
- `doubles/lakefs.py`: the part of lakeFS's HTTP API that our client uses.
- `doubles/kubernetes.py`: the part of a Kubernetes API server that a pod needs; it runs the pod's command on this machine.
- `doubles/embeddings.py`: an OpenAI-compatible endpoint for embeddings, which counts hashed trigrams instead of running a model.
- `doubles/llm_judge.py` and `doubles/teacher.py`: models behind an OpenAI-compatible API, with scripted answers.
- `doubles/registry.py`: a model registry in memory.
- `external_endpoint.py`: an OpenAI-compatible endpoint that asks for a key and counts tokens.
- `hash_embedder.py`: an embedder that needs no model.
- `stub_engine.py`: a model server without a model.
- `postgres_server.py`: a PostgreSQL server of its own in a temporary folder.

**Small real things** to test with:

- `tiny_loop.py`: a whole loop in one process, with a tiny model, a real gateway, real stores and real training.
- `tiny_embedder.py`: a sentence-transformers model of random weights.
- `tiny_model.py` and `tiny_job.py`: a chat model of random weights, and training jobs for it.
- `releases.py`: versions and signed releases that need no model.
- `thread_host.py`: model servers and the gateway in threads of the test; `gateway_process.py`: a gateway in its own process, to be killed.
- `made_once.py`: files that take seconds to make, made once for all tests.
"""
