"""Published models, taken over as they are: from a folder, an object store, the Hugging Face hub or one GGUF file.

place.py          where the files lie, which of them are taken, and how large they may be
architectures.py  which models the serving engines are known to run
published.py      a folder in Hugging Face's format: its weights, its tokenizer, its card
gguf.py           a GGUF file: the same, out of its metadata; the weights through transformers
stage.py          import_model: the order of it, and the folders that come out

Nothing is trained or changed, and no code that a model brings is run.
"""

from worker import torchvision_hook

torchvision_hook.install()  # before anything here imports transformers
