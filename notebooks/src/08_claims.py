# %% [markdown]
# # What holds: a ledger of every claim
#
# <!-- badges: Colab and Binder -->
#
# **Question.** Two papers, sixteen claims. Which of them show on tasks that fit a laptop, which do not, and which
# cannot be asked there?
#
# **After this notebook you can**
#
# 1. turn a sentence of an abstract into a number, and say beforehand which side of it would speak for the claim,
# 2. read an interval over seeds, and tell "does not hold" from "undecided",
# 3. say which runs on real data a claim starts from, and what no study measures yet.
#
# **You need** the notebooks `02_student` and `04_activekd`. No GPU, no network.
#
# **Time and memory**: on 2 quiet CPU cores the cells take 80 s and 1.2 GB; the last cell prints yours.

# %%
import activekd_lab as akd
from activekd_lab import claims, notebooks
from activekd_lab.bench import claims as measured
from activekd_lab.results import find_runs
from activekd_lab.parallel import run_all

notebooks.start()

# %% [markdown]
# ## Settings
#
# `runs` may name a folder of finished runs, such as the one of `activekd-lab reproduce bundled-all`. Without it, this
# notebook makes a few runs of its own.

# %% tags=["parameters"]
profile: str = "quick"  # smoke | quick | paper; smoke and paper set the length of training themselves
tasks: list = ["shapes", "digits"]  # which images, see `activekd-lab tasks`
selectors: list = ["pcoreset", "coreset", "entropy", "random"]  # who picks, see `activekd-lab selectors`
rounds: int = 5  # query rounds after the initial labels
seeds: int = 3  # repetitions of everything
shots: int = 4  # labelled images a class, for the claims about two heads
runs: str = ""  # a folder of finished runs to judge instead of making some

# %%
own = ("tasks", "selectors", "seeds", "shots", "runs")
small = {"smoke": {"rounds": 1, "steps": 20, "tasks": ["digits"], "selectors": ["pcoreset", "random"], "seeds": 2}}
parameters = notebooks.read_parameters(globals(), also=own, profiles=notebooks.PROFILES | small)
tasks, selectors, seeds, shots, runs = (parameters.values[name] for name in own)
config = parameters.config
print(f"profile {parameters.profile}: {', '.join(tasks)}, {seeds} seeds")

# %% [markdown]
# ## The rule, before any result
#
# A claim becomes one **number** and a **threshold**. We measure the number in each *setting* (a task and a teacher),
# with several seeds, and take its 95% **interval**: a range that would hold the true mean in 95 of 100 such
# experiments, if seeds scatter normally.
#
# - The whole interval on the claim's side: the setting is **for** it. On the other side: **against** it. Else **open**.
# - All settings for it: the claim *holds*. Some: *in part*. None, and some against: *does not hold*. All open:
#   *undecided*.
#
# *Undecided* is not a polite *no*. With few seeds, most intervals are wide.
#
# Two rows are exceptions: *later_rounds* counts rounds and has no interval; *clusters* compares with shuffled copies.
# The rival is the best of the others in these very runs, which is strict. And many questions are asked at once,
# uncorrected: expect a wrong *for* or *against* among them.

# %%
for claim in claims.CLAIMS:
    number = claim.number or "nothing that our tasks could show"
    print(f"{claim.key:13} {claim.says}\n{'':13} ↳ {number}")

# %% [markdown] tags=["exercise-text"]
# ### Exercise 1 — an interval over seeds
#
# The mean of n seeds comes with a 95% interval: mean ± t · s / √n, with s the standard deviation (divided by n − 1) and
# t the 97.5% point of Student's distribution with n − 1 degrees of freedom. **Predict first**: three seeds gain 1, 2
# and 6 points. Does the interval reach below zero?
#
# <details><summary>Hint</summary>
#
# `scipy.stats.t.ppf(0.975, n - 1)` gives t, `numpy.std(values, ddof=1)` gives s.
#
# </details>


# %% tags=["exercise"]
import numpy as np
from scipy import stats


def interval(values):
    """Return the (low, high) ends of the 95% interval of the mean of `values`, a list of one number a seed."""
    ### BEGIN SOLUTION
    n, mean = len(values), np.mean(values)
    half = stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / n**0.5
    return mean - half, mean + half
    ### END SOLUTION


# %%
akd.checks.check("08.interval", interval)

# %% [markdown] tags=["exercise-text"]
# ### Exercise 2 — the side of a claim
#
# Some claims want a large number ("is more accurate"), some a small one ("costs next to nothing"). Write the rule for
# both. **Predict first**: for how many of the claims above does a *small* number speak?
#
# <details><summary>Hint</summary>
#
# For a claim that wants a small number, the whole interval has to lie below the threshold: look at `high` then.
#
# </details>


# %% tags=["exercise"]
def side(low, high, threshold, above):
    """Return "for", "against" or "open" for an interval; `above` says whether larger numbers speak for the claim."""
    ### BEGIN SOLUTION
    if low > threshold:
        return "for" if above else "against"
    if high < threshold:
        return "against" if above else "for"
    return "open"
    ### END SOLUTION


# %%
akd.checks.check("08.side", side)

# %% [markdown]
# **Predict first**: pick three claims. Which verdict will each of them get on `shapes`, and on `digits`?

# %%
your_verdicts = {"first": "holds", "resolved": "holds", "teacher": "does not hold"}  # replace them

# %% [markdown]
# ## Active learning: runs
#
# Each selector runs with the teacher (DHO) and without (labels only), from the same first labels for a seed. Runs
# lie in `runs/`; executed again, this cell reads them.

# %%
methods = ("dho", "ce")
plan = [
    config.with_(task=task, selector=selector, method=method, seed=seed)
    for task in tasks
    for selector in selectors
    for method in methods
    for seed in range(seeds)
]
results = [akd.load_run(folder) for folder in find_runs([runs])] if runs else run_all(plan, "runs").results
evidence = claims.from_runs(results)
print(f"{len(results)} runs give {len(evidence)} numbers")

# %%
names = {str(run.config["task"]) for run in results}
first = sorted(names)[-1]
akd.plots.learning_curves([run for run in results if run.config["task"] == first])

# %% [markdown]
# ## Two heads, clusters, costs
#
# These claims need no rounds: students trained on the same few labels by each method, and the teacher's predictions.

# %%
length = {"steps": config.steps, "epochs": config.epochs, "task_options": config.task_options}
length = {name: value for name, value in length.items() if value}
for task in tasks:
    options = {name: value for name, value in length.items() if name == "task_options"}
    evidence += [measured.teacher_clusters(task, **options)]
    evidence += measured.from_students(task, measured.measure_students(task, shots=shots, seeds=seeds, **length))
print(f"{len(evidence)} numbers")

# %% [markdown]
# ## The evidence
#
# Claims measured in points of accuracy, on one axis. **Read** a row as: the claim's side is right of the line.

# %%
akd.plots.claim_evidence(evidence)

# %% [markdown]
# ## The ledger

# %%
ledger = claims.ledger(evidence)
claims.show(ledger)

# %%
for key, guess in your_verdicts.items():
    print(f"{key:13} you said {guess!r}, the ledger says {ledger.verdict[key]!r}")

# %% [markdown]
# A claim about eleven data sets is neither proved nor refuted by two small ones. What our rows can show is whether
# its *mechanism* is at work where you can see every part of it. The last column names the runs to start from at the
# papers' scale: they want data, weights and a GPU. Give their folder as `runs` above, and the rows on active learning
# are judged by them; for the rows without a study it names what to call.
#
# ## What we learned
#
# 1. A sentence becomes testable once it has a number, a threshold and a side, fixed before the result is known.
# 2. "Undecided" means that the interval crosses the threshold: more seeds may settle it, a bolder sentence does not.
# 3. The ledger says which runs a check on real data starts from, and which rows still lack a study.
#
# **Next.** Choose an undecided row, raise `seeds`, and run again. Did it settle, and on which side?

# %%
found = [item._asdict() for item in evidence]
notebooks.finish(parameters, {"evidence": found, "verdicts": ledger.verdict.to_dict()})
