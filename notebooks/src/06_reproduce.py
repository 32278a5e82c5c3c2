# %% [markdown]
# # Repeat a result, then a whole table
#
# <!-- badges: Colab and Binder -->
#
# **Question.** A paper prints one number for a method, a data set and a teacher. What does it take to get that number
# again, and to know that it is the same experiment?
#
# **After this notebook you can**
#
# 1. describe an experiment completely by a handful of parameters, and run it,
# 2. say what the teacher modes are: zero-shot, refit on the labels, none,
# 3. find out what a stored run was made with, and get it back without running it again,
# 4. turn one run into a grid of runs, and say what it will cost before it starts.
#
# **You need** notebook `00_quickstart`. The bundled tasks need no GPU and no download; the papers' data sets and real
# CLIP models are the same notebook with other parameters.
#
# **Time and memory**: on 2 quiet CPU cores the cells take 5 s, and 25 s the first time, when images and features are
# computed and cached; at most 1.1 GB. The last cell prints yours.

# %%
import activekd_lab as akd
from activekd_lab import grid, notebooks
from activekd_lab.prepare import resolve_backbone

notebooks.start()

# %% [markdown]
# ## One experiment, completely described
#
# Everything that decides the result stands in the next cell. `papermill -p name value` replaces a value, and a whole
# table of a paper is this notebook executed many times with other values.

# %% tags=["parameters"]
profile: str = "quick"  # smoke | quick | paper; smoke and paper set rounds and the length of training themselves
task: str = "shapes"  # which images, see `activekd-lab tasks`
task_options: dict = {}  # the task's own options, such as {"root": "data"}
teacher: str = "bundled"  # "bundled", "RN50/openai" or another open_clip model
teacher_mode: str = "zero-shot"  # zero-shot | clap, tip, tip-f, linear-probe (refit on the labels) | none
backbone: str = "efficientnet_lite0"  # the student's network
method: str = "dho"  # dho (two heads) | single_head | kd; teacher_mode none trains one head on labels only
selector: str = "pcoreset"  # who picks, see `activekd-lab selectors`
initial_per_class: int = 1  # labelled images a class to start from (shots)
rounds: int = 5  # query rounds after the initial labels
budget: int = 0  # labels bought in a round; 0 means the number of classes
protocol: str = "corrected"  # when a few-shot teacher is refit: corrected | paper | released
seed: int = 0  # derives every random step
options: dict = {}  # any other setting of RunConfig, such as {"pretrained": True}
store: str = "runs"  # folder of run folders; a run that is there already is read, not repeated

# %%
parameters = notebooks.read_parameters(globals(), also=grid.NO_SETTINGS, translate=grid.run_settings)
config = resolve_backbone(parameters.config)
print(f"profile {parameters.profile}: {config.run_name}")

# %% [markdown]
# The last word of that name is a **hash**: ten characters computed from every setting that can change the result (not
# the device, nor what is kept on disk). Two runs with the same hash are the same experiment; the folder of the run
# bears this name.

# %%
print("as it is:    ", config.hash)
print("another seed:", config.with_(seed=config.seed + 1).hash)
print("the same:    ", config.with_(seed=config.seed).hash)

# %% [markdown] tags=["exercise-text"]
# ### Exercise 1 — a name for an experiment
#
# Write such a name yourself: the first eight hexadecimal digits of the SHA-256 of the settings, written as JSON.
# **Predict first**: the same settings in another order, are they the same text?
#
# <details><summary>Hint</summary>
#
# `json.dumps(settings, sort_keys=True)` gives the text, `hashlib.sha256(text.encode()).hexdigest()` the digits.
#
# </details>


# %% tags=["exercise"]
import hashlib
import json


def experiment_name(settings):
    """Return 8 characters that depend on the settings, a dictionary of JSON types, and on nothing else."""
    ### BEGIN SOLUTION
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
    ### END SOLUTION


# %%
akd.checks.check("06.name", experiment_name)

# %% [markdown]
# ## The teacher's mode
#
# The **teacher** is a vision-language model that knows the class names. It can take part in three ways.
#
# - `zero-shot`: it never sees a label. Its probabilities stay the same in every round.
# - `clap`, `tip`: a **few-shot** teacher. In every round it is refit on the labels bought so far, before the student
#   is trained (CLAP moves one prototype a class, Tip-Adapter looks up similar labelled images).
# - `none`: no distillation. The student learns from labels alone, which is the control for everything else.
#
# **Predict first**: the student starts with a few labels a class, and each round adds more. Does the teacher's help
# grow or shrink as labels come in?

# %%
result = akd.run(config, store=store)
print(f"teacher, zero-shot: {result.teacher_accuracy:.1%}")
for record in result.records:
    print(f"round {record.round}: {record.labels:4d} labels, accuracy {record.accuracy:.1%}")

# %%
akd.plots.learning_curves([result])

# %% [markdown]
# One curve cannot answer the question above. It takes the same run with `teacher_mode="none"` beside it, and several
# seeds of both. This is what a grid is for.
#
# ## What a stored run knows
#
# The folder of a run holds its settings, every round, every label with the round that bought it, and the
# **provenance**: versions, device and the commit of the code.

# %%
print(*sorted(path.name for path in result.folder.iterdir()), sep=", ")
result.provenance

# %% [markdown]
# Reading it back gives the same records, to the last digit. Running the same settings into the same store reads what is
# there; a run that was killed continues after its last whole round.

# %%
again = akd.load_run(result.folder)
print("same rounds:", again.records == result.records, " same labels:", again.labels == result.labels)

# %% [markdown]
# ## From one run to a table
#
# A **grid** names some values for some parameters; every combination is a **job**, one execution of this notebook. The
# package holds grids for the papers' studies, and one for the bundled tasks:

# %%
for name, title in grid.list_studies().items():
    print(f"{name:24} {title}")

# %% [markdown] tags=["exercise-text"]
# ### Exercise 2 — the points of a grid
#
# Turn a grid into its jobs: from `{"selector": ["random", "pcoreset"], "seed": [0, 1, 2]}` make a list of
# dictionaries, one for every combination, each with one value of every parameter. **Predict first**: how many are they?
#
# <details><summary>Hint</summary>
#
# `itertools.product(*grid.values())` yields the combinations; `dict(zip(names, values))` puts the names back.
#
# </details>


# %% tags=["exercise"]
import itertools


def grid_points(axes):
    """Return a list of dictionaries, one for each combination of the values that `axes` lists under each name."""
    ### BEGIN SOLUTION
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    ### END SOLUTION


# %%
akd.checks.check("06.points", grid_points)

# %% [markdown]
# How many jobs is "every selector, two tasks, three seeds, and three teacher modes (zero-shot, CLAP, none)"? Multiply
# before you run the cell.

# %%
study = grid.load_study("bundled-all", profile="quick")
for axis, values in study.axes.items():
    print(f"{axis:18} {len(values):2d}  {', '.join(str(value) for value in values)}")
print(f"{len(study.jobs)} jobs, the first is {study.jobs[0].name}")

# %% [markdown]
# `activekd-lab reproduce bundled-all --profile quick --out study --dry-run` says what that costs on your machine, from
# the times of earlier jobs. Without `--dry-run` it runs them, two at a time. Stop it as you like: a job is done when
# its `result.json` is there, and the same command does the rest. Your own grid is a file of five lines for
# `activekd-lab sweep`.
#
# ## What we learned
#
# 1. Task, teacher, student, selector, shots, rounds and seed describe an experiment; the hash names it.
# 2. The teacher stays as it is, is refit on the labels, or is left out; the last one is the control.
# 3. A run folder holds settings, rounds, labels and provenance, and the same settings read it instead of repeating it.
# 4. A grid multiplies: count its jobs, and ask for the cost before starting it.
#
# **Next.** Run this notebook again with `teacher_mode = "none"`, then go on to `07_compare`, which asks whether a
# difference between runs is more than luck.

# %%
notebooks.finish(parameters, result)
