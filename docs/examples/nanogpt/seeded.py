# A config file of nanoGPT, which executes it: its train.py has no seed setting and always starts from 1337, so two runs
# of one configuration return the same number and nothing shows how large the noise is. SEED is set for each trial.
import os

seed_torch = torch.manual_seed  # noqa: F821  (train.py has imported torch)
torch.manual_seed = lambda seed: seed_torch(seed + int(os.environ["SEED"]))  # noqa: F821
