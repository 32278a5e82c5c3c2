# %% [markdown]
# # What holds: a ledger of every claim
#
# <!-- badges: Colab and Binder -->
#
# Mira is asked which tool the trust should use, and reads the two papers behind hers. She writes down each of their
# claims, says what would speak for it, and only then measures.
#
# **Question.** Two papers, sixteen claims. Which of them show on tasks that fit a laptop, which do not, and which
# cannot be asked there?
#
# **After this notebook you can**
#
# 1. turn a sentence of an abstract into a number, and say beforehand which side of it would speak for the claim,
# 2. read an interval over seeds, and tell "does not hold" from "undecided",
# 3. say what breaks the method, and what breaks only its lead,
# 4. say which runs on real data a claim starts from, and what no study measures yet.
#
# **You need** the notebooks `02_student` and `04_activekd`. No GPU, no network.
#
# **Time and memory**: on 2 quiet CPU cores the cells take about 3 minutes, 1.2 GB in the notebook's own
# process, and up to 1.2 GB in each of the two that train beside it; the last cell prints yours.

# %% [markdown]
# <!-- diagram: claims -->

# %%
import activekd_lab as akd
from activekd_lab.compare import claims
from activekd_lab.course import notebooks
from activekd_lab.course.experiments import claims as measured
from activekd_lab.runs.stored import load_runs
from activekd_lab.active.parallel import run_all

notebooks.start("claims")

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
# A claim becomes one **number**, a **threshold**, and a side. We measure the number in each *setting* (a task and a teacher),
# with several seeds, and take its 95% **interval**: a range that would hold the true mean in 95 of 100 such
# experiments, if seeds scatter normally.
#
# - The whole interval on the claim's side: the setting is **for** it. On the other side: **against** it. Else **open**.
# - All settings for it: the claim *holds*. Some, the others open: *in part*. Some for it and some against: *mixed*.
#   None for it, and some against: *does not hold*, harsh where the rest is open, but nothing speaks for it. All open:
#   *undecided*.
#
# *Undecided* is not a polite *no*. With few seeds, most intervals are wide. And most thresholds are 0, which is a low bar: a
# gain of a tenth of a point passes it, if the interval is narrow. *Holds* says that an effect is there, not that it is large.
# Four thresholds are others. *Resolved*, −0.1: gradients that have nothing to do with each other scatter around 0, and at −0.1
# one of them undoes no more than a tenth of the other's work. *Overhead*, 10%: our reading of "next to nothing". *Later_rounds*
# says "always", so all rounds. *Tuning*: less than a whole training, which can hardly fail.
#
# Three rows are exceptions: *later_rounds* counts rounds, and *overhead* weights, so that neither has luck in it; of *clusters*,
# the teacher being one, the seeds are those of k-means and of the controls (`01_teacher` prints such shares). It has two
# controls, each a setting of its own: less *shuffled*, are the clusters tighter than those of anyone who is as sure? Less
# *random sentences*, than those of one who is as sure of the same images, and whose sentences mean nothing? *teacher* says
# "often", and one setting for it would do; our rule asks for all. "With every selector" is a sentence about the one that gains
# least, so that one is measured, not the mean. The rival is the best of the others in these very runs, which is strict. And
# many questions are asked at once, uncorrected: expect a wrong *for* or *against* among them.
#
# **In short.** We say which number would speak for a claim before we see it. Then the interval decides, not our wishes.

# %%
for claim in claims.CLAIMS:
    number = claim.number or "nothing that our tasks could show"
    print(f"{claim.key:13} {claim.says}\n{'':13} ↳ {number}; {claims.rule(claim)}")

# %% [markdown] tags=["exercise-text"]
# ### Exercise 1 — an interval over seeds
#
# *About 10 minutes, easy.*
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
#
# <details><summary>Answer to the prediction</summary>
#
# Yes, by far; the cell below the check prints it. Three gains above zero are not an interval above zero.
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
akd.course.check("08.interval", interval)

# %%
if akd.course.solved("08.interval"):  # your function, on the prediction
    print("gains of 1, 2 and 6: {:.1f} to {:.1f}".format(*interval([1, 2, 6])))

# %% [markdown] tags=["exercise-text"]
# ### Exercise 2 — the side of a claim
#
# *About 10 minutes, medium.*
#
# Some claims want a large number ("is more accurate"), some a small one ("costs next to nothing"). Write the rule for
# both. **Predict first**: for how many of the claims above does a *small* number speak?
#
# <details><summary>Hint</summary>
#
# For a claim that wants a small number, the whole interval has to lie below the threshold: look at `high` then.
#
# </details>
#
# <details><summary>Answer to the prediction</summary>
#
# Three: *conflict*, where a cosine below zero speaks for the claim; *overhead*, below ten percent; and *tuning*, where choosing
# the mix has to cost less than a training.
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
akd.course.check("08.side", side)

# %% [markdown]
# **Predict first**: three of the claims, and the verdict that each will get.

# %%
verdicts = ["holds", "holds in part", "mixed", "undecided", "does not hold"]
says = {claim.key: claim.says for claim in claims.CLAIMS}
yours = {key: akd.widgets.Predict(f"08.{key}", says[key], verdicts) for key in ("first", "resolved", "teacher")}
yours["first"]

# %%
yours["resolved"]

# %%
yours["teacher"]

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
results, left_out = load_runs([runs]) if runs else (run_all(plan, "runs").results, [])
evidence = claims.from_runs(results)
print(*left_out, f"{len(results)} runs give {len(evidence)} numbers", sep="\n")

# %%
names = {str(run.config["task"]) for run in results}
first = sorted(names)[-1]
akd.plots.learning_curves([run for run in results if run.config["task"] == first])

# %% [markdown]
# ## Two heads, clusters, costs
#
# These claims need no rounds: students trained on the same few labels by each method, and the teacher's predictions. For
# *inheritance* labels only gets more labels, until it is as accurate as DHO: two who are right agree, whoever taught them. It
# is read off at DHO's accuracy, between two label counts; to take the larger count would make labels only *more* accurate.
# *Tuning* asks what the abstract says, whether the mix can be chosen without training again; what it gains is printed beside.
# *Overhead* is counted in weights, and in those alone that are trained, the strictest count: here the backbone is frozen. (In
# multiplications the head is less: it uses each weight once an image, a convolution many times.) The clock stands beside it.

# %%
length = {"steps": config.steps, "epochs": config.epochs, "task_options": config.task_options}
length = {name: value for name, value in length.items() if value}
for task in tasks:
    options = {name: value for name, value in length.items() if name == "task_options"}
    evidence += measured.teacher_clusters(task, **options)
    trained = measured.measure_students(task, shots=shots, seeds=seeds, **length)
    evidence += measured.from_students(task, trained)
    tuned = claims.interval("tuning", task, [100 * one.tuned for one in trained if one.method == "dho"])
    print(f"{task}: a tuned mix gains {tuned.estimate:+.1f} points ({tuned.low:+.1f} to {tuned.high:+.1f})")
    one, two = ([one for one in trained if one.method == method] for method in ("single_head", "dho"))
    more = [two[0].trained_weights / one[0].trained_weights - 1, two[0].weights / one[0].weights - 1]
    longer = [100 * (b.seconds / a.seconds - 1) for a, b in zip(one, two, strict=True)]
    clock = "time {:+.0f}% ({:+.0f} to {:+.0f})".format(*claims.interval("overhead", task, longer)[2:5])
    print(f"  second head: {more[0]:+.1%} of the trained weights, {more[1]:+.2%} of all; {clock}")

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
claims.show(ledger[["key", "claim", "measured here", "verdict"]])

# %% [markdown]
# What each number is, and on which side it speaks for the claim, stands at the head of this notebook. Rows need not be
# independent: where CoreSet is the best rival, *first* and *space* are one comparison, printed twice. What the paper prints,
# and which runs to start from at its scale:

# %%
claims.show(ledger[["key", "published", "runs to start from"]])

# %%
for key, guess in yours.items():
    print(f"{key}: {guess.reveal(ledger.verdict[key])}")

# %% [markdown]
# Which settings speak against a claim, and what the course knows about the reason:

# %%
known = {claim.key: claim for claim in claims.CLAIMS}
short = "`04_activekd` finds why: too short a training, and a label head of few images that has half a say"
reasons = {
    "clusters, digits less shuffled": "sure answers in ten classes lie at ten corners however they are shuffled, and "
    "corners are farther apart than the teacher's own centres, so their balls are larger and hold more (`01_teacher`)",
    "later_rounds, digits, zero-shot": "the selectors lie within their seeds of one another, so another one leads by luck "
    "(row *first*)",
    "baselines, shapes": short,
    "teacher, shapes": short,
}
for e in evidence:
    if claims.side(known[e.claim], e) == "against":
        place = f"{e.claim}, {e.setting}"
        print(f"{place}: {reasons.get(place, 'no reason known yet')}")

# %% [markdown]
# The column *verdict* again, by your two functions. First one row from its raw numbers, PCoreSet less random, seed by seed:

# %%
if akd.course.solved("08.interval") and {"pcoreset", "random"} <= {run.config["selector"] for run in results}:
    mean_of = {(r.config["task"], r.config["selector"], r.config["seed"]): 100 * r.frame().accuracy.mean()
               for r in results if r.config["method"] == "dho"}  # fmt: skip
    for task in sorted({task for task, *_ in mean_of}):
        used = sorted(seed for name, selector, seed in mean_of if (name, selector) == (task, "random"))
        gaps = [mean_of[task, "pcoreset", seed] - mean_of[task, "random", seed] for seed in used]
        low, high = interval(gaps)
        print(f"{task}: {np.round(gaps, 2)}, interval {low:+.2f} to {high:+.2f}, a lead of 0: ", end="")
        print(side(low, high, 0, True) if akd.course.solved("08.side") else "")

# %% [markdown]
# Then every row: the side of each setting, and from the sides the verdict by the rule at the head of this notebook.

# %%
if akd.course.solved("08.side"):
    sides = {key: [] for key in dict.fromkeys(e.claim for e in evidence)}
    for e in evidence:
        sides[e.claim].append(side(e.low, e.high, known[e.claim].threshold, known[e.claim].above))
    for key, found in sides.items():
        mixed, some = "mixed" if "against" in found else "holds in part", "for" in found
        none = "does not hold" if "against" in found else "undecided"
        yours_says = "holds" if set(found) == {"for"} else mixed if some else none
        agrees = "as above" if yours_says == ledger.verdict[key] else "not as above"
        print(f"{key:13} {', '.join(found):30} {yours_says:14} {agrees}")

# %% [markdown]
# A claim about eleven data sets is neither proved nor refuted by two small ones. What our rows can show is whether
# its *mechanism* is at work where you can see every part of it. The second table ends with the runs to start from at the
# papers' scale: they want data, weights and a GPU. Give their folder as `runs` above, and the rows on active learning
# are judged by them; for the rows without a study it names what to call.
#
# **In short.** A verdict is about these tasks, with this teacher and this length of training. A row that says "against" is a
# question for the next experiment, not the end of the claim.

# %% [markdown]
# ## What breaks it
#
# "Holds" means: on these tasks, as they are. Mira's photos will be worse. Four ways to spoil `digits`, each on a slider:
# first labels that miss classes, a helper who errs, a teacher who is too sure or too unsure, photos of nothing that
# anyone asked for. Moving the slider trains DHO with PCoreSet, DHO with random picks, and labels alone, on the spoilt task
# and on the sound one; a level takes a while, and you may cancel it.

# %%
ways = ["cold start", "noisy labels", "miscalibrated teacher", "images of no class"]
breaks = akd.widgets.Predict("08.breaks", "At its worst, which takes the most points from DHO with PCoreSet?", ways)
breaks

# %%
spoilt = akd.prepare(akd.RunConfig(task="digits", steps=60))
gallery = akd.widgets.FailureGallery(spoilt, rounds=min(3, config.rounds), seeds=seeds)
gallery

# %% [markdown]
# The next cell trains the worst level of each that you have not tried, and waits. Its few seeds and rounds are enough to see
# what the *method* loses. For the *lead* of PCoreSet, the last sentence of each paragraph, they are mostly too few:
# `07_compare` counts how many seeds a gap of a point or two takes.

# %%
lost, alone = {}, {}
for name, failure in gallery.failures.items():
    gallery.worker.join()
    gallery.show(name, failure.levels[-1])
    gallery.worker.run()
    gallery.worker.join()
    print(gallery.takeaway())
    levels = (failure.sound, failure.levels[-1])
    for points, way in ((lost, "DHO + PCoreSet"), (alone, "labels only, random")):
        sound, worst = (np.mean([run.accuracy for run in gallery.runs(way, level)]) for level in levels)
        points[name] = 100 * (sound - worst)
    print(f"in points: DHO with PCoreSet loses {lost[name]:.1f}, labels only {alone[name]:.1f}\n")
breaks.reveal(max(lost, key=lost.get))

# %% [markdown]
# *Sound* is another number for *images of no class*: there half of the classes are left out of the task, which makes the rest
# easier. Two things to look for. Where answers are wrong, compare what DHO loses with what labels alone lose: the teacher hears
# no label, wrong or right. And where images show no class, compare the labels that PCoreSet and random wasted. What is far from
# everything is what PCoreSet asks for; does it waste more? Then move the slider to the mildest level, and compare again. A
# change can go the other way, too: with a teacher made flat, DHO has little left to hear. If random picks fall towards labels
# alone while PCoreSet's do not, its lead *grows*: what the teacher no longer gives, choosing has to bring.
#
# **In short.** The teacher protects the student where labels are wrong, since it never heard them. Try the failure that you
# expect on your own images before you trust the method with them.

# %% [markdown]
# ## Paper, code, and here
#
# | | published (paper, abstract or repository) | the released code does | here |
# |---|---|---|---|
# | distillation against none | +29.07 points on ImageNet (abstract) |  | the row *distillation*, on our tasks |
# | PCoreSet | first in 64 of 73 settings (abstract) |  | the row *first* |
# | choice on test images |  | few-shot ImageNet of DHO picks epoch and mix on the test split | never |
#
# **Open problem.** Sixteen claims share runs, seeds and teachers. How should a ledger correct for that, when the
# claims were chosen after the experiments?
#
# **Read on.** [ActiveKD](https://arxiv.org/abs/2506.00910), [DHO](https://arxiv.org/abs/2505.07675): abstracts.
# Words, symbols and all figures: [GLOSSARY](GLOSSARY.md).

# %% [markdown]
# ## What we learned
#
# 1. A sentence becomes testable once it has a number, a threshold and a side, fixed before the result is known.
# 2. "Undecided" means that the interval crosses the threshold: more seeds may settle it, a bolder sentence does not.
# 3. A method that holds on a sound task may break on a spoilt one; measure the failure that you expect.
# 4. The ledger says which runs a check on real data starts from, and which rows still lack a study.
#
# **Next.** Choose an undecided row, raise `seeds`, and run again. Did it settle, and on which side? Or judge `["tiles"]`, Mira's
# land, where the teacher is out of its domain: which rows turn? What is left is size:
# `09_scale`.

# %%
found = [item._asdict() for item in evidence]
notebooks.finish(parameters, {"evidence": found, "verdicts": ledger.verdict.to_dict(), "points_lost": lost})
