# %% [markdown]
# # ActiveKD in ten minutes
#
# <!-- badges: Colab and Binder -->
#
# Mira looks after a valley for a nature trust. A plane brought her 2,400 photos of land, of twelve kinds, and she has
# time to name about fifty of them. A free vision-language model names any photo, but nobody ever showed it land from
# above. These ten notebooks follow her fifty labels.
#
# **Question.** You have thousands of images, a handful of labels, and a vision-language model that is often wrong.
# Which images do you label next, so that a small model of your own becomes good soon?
#
# **After this notebook you can**
#
# 1. say what a zero-shot teacher knows and where it fails,
# 2. run one round by hand: train a student with labels *and* teacher, look at it, pick the next images,
# 3. run the whole loop, see the student overtake its teacher, and say what the teacher added,
# 4. read a probability map, and say what a larger budget covers.
#
# **You need** Python, and a rough idea of what a softmax is. No GPU, no network, no download.
#
# **Time and memory**: on 2 CPU cores the cells take about a minute the first time and half of it later, when images and
# features are cached, and at most 1.2 GB, the first time up to 1.0 GB more in a process beside it. Ten minutes to read and
# run, half an hour with the exercises and predictions. The last cell prints yours.

# %% [markdown]
# <!-- diagram: loop -->

# %%
from itertools import pairwise

import numpy as np
import torch

import activekd_lab as akd
from activekd_lab import stats
from activekd_lab.course import notebooks
from activekd_lab.plots.predictions import prediction_gallery
from activekd_lab.plots.projection import fit_projection

notebooks.start("loop")

# %% [markdown]
# ## Settings
#
# Every value may be changed here, or passed by `papermill -p name value`. A misspelt name or an impossible value is
# refused by the cell below.

# %% tags=["parameters"]
profile: str = "quick"  # smoke | quick | paper; smoke and paper set rounds and the length of training themselves
task: str = "tiles"  # which images, see `activekd-lab tasks`
selector: str = "pcoreset"  # who picks, see `activekd-lab selectors`
rounds: int = 3  # query rounds after the initial labels
budget: int = 12  # labels bought in a round
seed: int = 0  # derives every random step

# %%
parameters = notebooks.read_parameters(globals())
config = parameters.config.resolve()
print(f"profile {parameters.profile}: {config.run_name}")

# %% [markdown]
# ## The teacher: broad, free, and wrong in patterns
#
# A **vision-language model** (here a small CLIP) has seen images with captions. Give it the class names as sentences,
# and it compares each image with each sentence. That is **zero-shot** classification: no label of ours was used. The
# result is a vector of probabilities for every image, one number a class.
#
# The images that nobody has labelled yet are the **pool**. The pool here is long-tailed, as real ones are: some
# classes are common and some are rare. It holds rendered land. The teacher has learned shapes and colours on paper, so
# it knows a word of each class name, such as *wavy* or *ring*, but it is **out of its domain**, as a CLIP of the web is
# on satellite images.

# %%
active = akd.active.ActiveRun(akd.prepare(config))
data = active.prepared.task
pool, names = data.train, data.class_names
print(f"pool: {len(pool)} images of {data.num_classes} classes, test: {len(data.test)} images")
print(f"image: {tuple(pool.images.shape[1:])}, prompt: {data.templates[0].format(names[0])!r}")
print(f"teacher, zero-shot on the test images: {active.prepared.teacher_accuracy:.1%}")

# %% [markdown]
# Sixteen images of the pool, with the truth and what the teacher says. Look at its errors: are they random, or is there
# a reason for each?

# %%
teacher = active.prepared.teacher_probabilities  # (N, C)
prediction_gallery(pool.images, pool.labels, teacher, names, range(16), title="The teacher's answers")

# %% [markdown]
# Now the whole pool: which answers does the teacher give too often? The third number is what errors at random would give: as
# many wrong answers, spread evenly over the other classes.

# %%
answers = teacher.argmax(1).bincount(minlength=data.num_classes)
truth = pool.labels.bincount(minlength=data.num_classes)
share = (teacher.argmax(1) == pool.labels).double().mean()  # right, of the whole pool
at_random = truth * share + (len(pool) - truth) * (1 - share) / (data.num_classes - 1)
for c in (answers - truth).topk(5).indices.tolist():
    of = pool.labels[teacher.argmax(1) == c].bincount(minlength=data.num_classes)  # what is called c
    right, of[c] = int(of[c]), 0
    print(
        f"{names[c]:14} given to {answers[c]:4d} images, true for {truth[c]:4d}, at random {at_random[c]:4.0f}; ",
        end="",
    )
    print(f"{right} right; of {of.sum():3d} wrong {of.max():3d} are {names[of.argmax()]}")

# %% [markdown] tags=["exercise-text"]
# ### Exercise 1 — accuracy
#
# *About 5 minutes, easy.*
#
# Write the number that all curves below show: the share of images whose most probable class is the true one. **Predict
# first**: is the mean probability of the true class the same number, a smaller or a larger one?
#
# <details><summary>Hint</summary>
#
# `probabilities.argmax(1)` gives one class a row; comparing it with `labels` gives one True or False a row.
#
# </details>
#
# <details><summary>Answer to the prediction</summary>
#
# Another number: it counts how sure each row was. Smaller where a teacher is right but unsure, larger where it is wrong
# but nearly right. The cell below the check prints both.
#
# </details>


# %% tags=["exercise"]
def accuracy(probabilities, labels):
    """Return the share of right answers, a float in [0, 1], from (N, C) probabilities and (N,) true classes."""
    ### BEGIN SOLUTION
    right = probabilities.argmax(1) == labels
    return float(right.float().mean())
    ### END SOLUTION


# %%
akd.course.check("00.accuracy", accuracy)

# %%
if akd.course.solved("00.accuracy"):  # your function, on this teacher
    of_truth = teacher.gather(1, pool.labels[:, None]).mean()
    print(f"right on {accuracy(teacher, pool.labels):.1%} of the pool")
    print(f"mean probability of the true class: {of_truth:.1%}")

# %% [markdown] tags=["exercise-text"]
# ### Exercise 2 — which answers come too often?
#
# *About 10 minutes, easy.*
#
# The table above comes from one number a class: how often it is answered, minus how often it is true. **Predict
# first**: what do these numbers sum to, whatever the teacher?
#
# <details><summary>Hint</summary>
#
# `classes.bincount(minlength=C)` counts each class, those that never occur included.
#
# </details>
#
# <details><summary>Answer to the prediction</summary>
#
# Zero. There are N answers and N true classes, so what one class has too often, others have too seldom.
#
# </details>


# %% tags=["exercise"]
def surplus(probabilities, labels):
    """Return (C,) answers minus true images of each class, from (N, C) probabilities and (N,) true classes."""
    ### BEGIN SOLUTION
    classes = probabilities.shape[1]
    answered = probabilities.argmax(1).bincount(minlength=classes)
    return answered - labels.bincount(minlength=classes)
    ### END SOLUTION


# %%
akd.course.check("00.surplus", surplus)

# %%
if akd.course.solved("00.surplus"):  # your function, on this teacher
    found = surplus(teacher, pool.labels)
    print({name: int(n) for name, n in zip(names, found, strict=True)}, "sum:", int(sum(found)))

# %% [markdown]
# Were the errors random, rare classes would still be answered too often: they get a share of everybody's mistakes. The table
# above says how often. Count as news only what lies well beyond that number:

# %%
ratio = answers / at_random
beyond = [c for c in ratio.argsort(descending=True).tolist() if ratio[c] > 1.25]
print("beyond errors at random:", ", ".join(f"{names[c]} ({answers[c]}, not {at_random[c]:.0f})" for c in beyond))
for c in beyond:
    if not bool(((teacher.argmax(1) == c) & (pool.labels == c)).any()):
        print(f"not one of the {answers[c]} images called {names[c]} is one")
print("never answered:", ", ".join(name for name, n in zip(names, answers, strict=True) if not n) or "none")

# %% [markdown]
# Such a surplus can have two causes. A sentence's vector may happen to lie near many images (*hubness*). Or the teacher's
# probability vectors gather in clusters instead of spreading over all possibilities; the ActiveKD paper calls that
# **structured prediction bias**. A count cannot tell them apart; `01_teacher` measures the clusters, against controls. (The pool
# is long-tailed and the test is not, so the teacher's accuracy differs between them.)
#
# *In short.* The teacher is often wrong, and not at random. A few answers attract images of other classes.
#
# ## One round by hand
#
# The **student** is a small network with two heads on the same features (**DHO**, dual-head optimisation). One head
# learns from the few labels, the other one from the teacher's probabilities on *all* images. Its prediction mixes
# both. Without a GPU the network below is frozen as ImageNet left it; one layer on top and the heads train. A round is:
#
# 1. train a fresh student on the labels so far, and on the teacher,
# 2. measure it on test images,
# 3. let the **selector** look at the pool and pick the next images to label.
#
# It starts with one labelled image of each class, as in the paper: somebody looks for an example of each, and that search is
# not counted.

# %%
steps = iter(active)
first = next(steps)
print(f"labels: {first.labels}, of {first.classes_covered} classes")
print(f"accuracy: {first.accuracy:.1%} (label head {first.ce_accuracy:.1%}, teacher head {first.kd_accuracy:.1%})")
print(f"teacher alone: {active.prepared.teacher_accuracy:.1%}")
print(f"picked next: {first.picks[:8]} … {len(first.picks)} in all")

# %% [markdown]
# What did the selector see? Never a label of the pool: only probabilities and features, a row an image.

# %%
view = active.view
print("pool probabilities (N, C):", tuple(view.probabilities.shape))
print("pool features (N, D):", tuple(view.features.shape))
print("labelled probabilities (L, C):", tuple(view.labeled_probabilities.shape))
akd.plots.method_diagram("loop", active)  # point at a box: these are the tensors of this run

# %% [markdown]
# **PCoreSet**, the default selector, treats each row of probabilities as a point in space. It picks the image whose
# point is farthest from all labelled points, adds it to them, and repeats. So it goes where the student predicts
# something that no label has touched yet.
#
# ## The loop, and a prediction
#
# The cell after next runs the remaining rounds. **Predict first**: choose, say how sure you are, and lock it. The
# notebooks keep your score in `predictions.json`: are you right as often as you are sure?

# %%
final = akd.widgets.Predict(
    "00.final", "What share of the test images is right after the last round?", (0, 100), within=5, unit=" %"
)
final

# %%
for record in steps:
    print(f"round {record.round}: {record.labels:4d} labels, accuracy {record.accuracy:.1%}")
result = active.result()
final.reveal(100 * result.final_accuracy, f"The teacher is right on {result.teacher_accuracy:.1%}.")

# %% [markdown]
# ## Who did that?
#
# The student had a teacher, two heads, and a selector. Change one of them at a time: random picks instead of the
# selector; one head for labels and teacher together; labels only, without a teacher.

# %%
worst = akd.widgets.Predict(
    "00.worst", "Which change leaves the student worst at the end?", ["random picks", "one head", "labels only"]
)
worst

# %%
changes = {
    "all of it": {},
    "random picks": {"selector": "random"},
    "one head": {"method": "single_head"},
    "labels only": {"method": "ce"},
}
runs = {name: akd.run(config.with_(**change)) if change else result for name, change in changes.items()}
ends = {name: run.final_accuracy for name, run in runs.items() if name in worst.options}
print(worst.reveal(min(ends, key=ends.get)))
akd.plots.learning_curves(runs)

# %% [markdown]
# The dashed level is the teacher, without any label: a student above it has **overtaken its teacher**. On `tiles` every
# line does so with its first labels. What tells them apart is how many labels it takes to be good: 90%, say.

# %%
for name, run in runs.items():
    table = run.frame()
    cost = stats.label_cost(table.labels, table.accuracy, 0.9)
    early, late = table.accuracy.iloc[0], table.accuracy.iloc[-1]
    margin = 2 * (late * (1 - late) / len(data.test)) ** 0.5  # two standard errors
    print(f"{name:13} {early:.1%} at first, {late:.1%} ± {margin:.1%} at the end; 90% after {cost:.0f} labels")
heads = active.prepared.predict(active.student)[0]  # the last student of "all of it", on the pool
surest = {n: h.softmax(1).max(1).values.mean() for n, h in (("label", heads.ce_logits), ("teacher's", heads.kd_logits))}
print("mean largest probability:", ", ".join(f"{name} head {p:.2f}" for name, p in surest.items()))
result.frame()[["round", "labels", "accuracy", "seconds_train", "seconds_select"]].round(3)

# %% [markdown]
# The labels at 90% are read off the straight line between two rounds (`inf`: not within these rounds); ± is what this many
# test images leave open. Read the lines with care.
#
# - *One head* has to answer to labels and teacher at once. A teacher that is mostly wrong holds it nearer to its own
#   level than to that of labels alone. With two heads each keeps its own, and nothing has to choose between them: where they
#   differ, the mean of two answers follows the *surer* head. The print says which is surer: here the one that is mostly right.
# - *Random picks* show what it is worth to choose the images.
# - *Labels only* is the sober line. Where it ends within the error of *all of it*, the teacher's word was worth something
#   on the way there, and these test images cannot show that it is worth anything at the end.
#
# *In short.* Choosing images and giving the teacher a head of its own mattered here. The teacher helped early, not at the end.
#
# ## When is a teacher worth it, then?
#
# When it knows more than your labels do. Here are handwritten digits beside it: the teacher, though it never saw these
# scans, knows digits.

# %%
lifted = akd.widgets.Predict(
    "00.lifted",
    "How many points does the teacher add there, at one label a class?",
    (-10, 40),
    within=5,
    unit=" points",
)
lifted

# %%
elsewhere = parameters.config.with_(task="digits", task_options={}, budget=None)
pairs = {config.task: (runs["all of it"], runs["labels only"])}
pairs["digits"] = tuple(akd.run(elsewhere.with_(method=method)) for method in ("dho", "ce"))
for name, (taught, alone) in pairs.items():
    gains = [a.accuracy - b.accuracy for a, b in zip(taught.records, alone.records, strict=True)]
    said = ", ".join(f"{100 * gain:+.1f} at {r.labels} labels" for gain, r in zip(gains, taught.records, strict=True))
    print(f"{name:6} teacher {taught.teacher_accuracy:.1%}, student {taught.final_accuracy:.1%}; points gained: {said}")
lifted.reveal(100 * gains[0])

# %% [markdown]
# And there are tasks on which this student stays *below* its teacher at first. `04_activekd` meets one, asks which part
# is to blame, and what a longer training changes.
#
# Why not keep the teacher? In real use it is a CLIP of hundreds of megabytes that cannot improve on your classes
# without labels; a student is small and learns from both. Our toy teacher is unusually small, so compare accuracies
# here, not sizes.
#
# One run is one draw of luck. Whether one selector is better than another is a question over several seeds;
# `activekd-lab demo` asks it for four selectors, with and without a teacher.
#
# ## The probability map
#
# Every dot is an image of the pool, placed at the mean of the classes' places on the rim, weighted by the student's
# probabilities. A certain answer lies at its class. An answer torn between two neighbours lies near the rim, too, between
# them; in the middle lies what is torn between classes far apart, or among many. Diamonds have a label, numbered dots are
# picked next.
#
# **Predict first**: where will most dots lie after the first round, and where after the last? Then move the slider.

# %%
akd.plots.probability_map(result)

# %%
wheel = fit_projection(result.probabilities(config.rounds), ring=result.probabilities(0))  # the map's own
for r in (0, config.rounds):
    sure, place = result.probabilities(r).max(1), np.linalg.norm(wheel.positions(result.probabilities(r)), axis=1)
    right = (result.probabilities(r).argmax(1) == pool.labels.numpy()).mean()
    print(
        f"round {r}: mean largest probability {sure.mean():.2f}, above 0.9 on {(sure > 0.9).mean():.0%} of the pool; ",
        end="",
    )
    print(f"right on {right:.1%} of it")
    near = ((place > 0.8) & (sure < 0.6)).mean()
    print(f"  mean distance from the middle {place.mean():.2f}; beyond 0.8, and yet below 0.6: {near:.0%} of the pool")

# %% [markdown]
# <details><summary>Answer to the prediction</summary>
#
# Compare the two mean distances from the middle. They tell only part of it: classes that are often confused are neighbours,
# and a dot between two neighbours is near the rim and yet undecided; the last number counts such dots. So read how sure
# the student is in the mean largest probability. And unsure is not wrong: compare the share above 0.9 with the share that
# is right. Half of each answer is the teacher's head, which is unsure where the teacher is. PCoreSet sees the mix.
#
# </details>

# %% [markdown]
# ## What does a larger budget cover?
#
# The **covering radius** is the largest distance from an unlabelled image to its nearest label, measured between
# probabilities. A small one means: no prediction is far from something we know. Within a round, a further pick can only
# lower it.
#
# **Predict first**: if you double the budget, is the radius halved, does it fall by less, or by more? Then move the
# budget slider (a click, then the arrow keys) and read the sentence beside the map.

# %%
explorer = akd.widgets.SelectionExplorer(data, result, budget=config.budget)
explorer

# %% [markdown]
# Half, once and twice the budget, in words. Then choose another selector in the menu above, and see where *its* picks
# lie.

# %%
for count in (config.budget // 2, config.budget, 2 * config.budget):
    print(akd.widgets.SelectionExplorer(data, result, budget=count).takeaway(), end="\n\n")

# %% [markdown]
# Twice the picks do not halve it: the worst covered points go first, and each further pick has less left to cover. And such a
# radius is a promise that the next round need not keep: a *new* student moves all points.

# %%
broken = 0
for before, after in pairwise(result.records):
    p = torch.from_numpy(result.probabilities(before.round)).float()
    promised = akd.active.coverage.covering_radius(p, p[list(result.labeled_ids(after.round))])
    broken += after.covering_radius > promised
    print(f"picks of round {before.round}: from {before.covering_radius:.3f} to a promised {promised:.3f}; ", end="")
    print(f"round {after.round} begins at {after.covering_radius:.3f}")
rises = sum(b.covering_radius > a.covering_radius for a, b in pairwise(result.records))
print(f"{broken} of {config.rounds} promises not kept; from one round to the next the radius rose {rises} times")

# %% [markdown]
# ## Paper, code, and here
#
# | | published (paper, abstract or repository) | the released code does | here |
# |---|---|---|---|
# | start, budget | 1 label a class, then C labels a query, 15 queries | the same on the ten data sets | 1 a class, then `budget`, `rounds` times |
# | student | five networks (abstract) | four in the scripts: ResNet-18, MobileNetV2, TinyViT, on ImageNet ResNet-50 (DINO); pretrained, trained whole, a new one each round | EfficientNet-Lite0, frozen unless there is a GPU |
# | gain of the teacher | +29.07 points on ImageNet, mean over selectors (abstract) |  | the points printed above, on other tasks |
#
# **Open problem.** With every label a teacher has little left to add. Can one tell *from the unlabelled images
# alone* when to stop listening to the teacher?
#
# **Read on.** [ActiveKD](https://arxiv.org/abs/2506.00910) for the loop, [DHO](https://arxiv.org/abs/2505.07675) for
# the student. Words, symbols and all figures: [GLOSSARY](GLOSSARY.md).

# %% [markdown]
# ## What we learned
#
# 1. A zero-shot teacher knows a lot for free; its errors have structure.
# 2. A round trains a fresh student with two heads on labels and teacher, measures it, and picks the next images.
# 3. The learning curve shows accuracy for labels spent; the same run without a part shows what that part buys. A student
#    can overtake a teacher that is out of its domain; what a second head is worth, the line *one head* shows.
# 4. The probability map shows what the student is sure of; a larger budget lowers the covering radius, but not in
#    proportion.
#
# **Next.** Mira has her small model, but she bought it blind: what did the teacher know, and why did two heads matter?
# `01_teacher` opens the teacher. Or change `task` to `"shapes"` and `budget` to 48 first, and run all cells again.

# %%
notebooks.finish(parameters, result)
