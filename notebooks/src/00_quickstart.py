# %% [markdown]
# # ActiveKD in ten minutes
#
# <!-- badges: Colab and Binder -->
#
# **Question.** You have thousands of images, a handful of labels, and a vision-language model that is often wrong.
# Which images do you label next, so that a small model of your own becomes good soon?
#
# **After this notebook you can**
#
# 1. say what a zero-shot teacher knows and where it fails,
# 2. run one round by hand: train a student with labels *and* teacher, look at it, pick the next images,
# 3. run the whole loop, and see in a learning curve what the teacher adds,
# 4. read a probability map, and say what a larger budget covers.
#
# **You need** Python, and a rough idea of what a softmax is. No GPU, no network, no download.
#
# **Time and memory**: on 2 quiet CPU cores the cells take 30 s the first time and 11 s later, when images and features
# are cached, and at most 1.3 GB; reading takes the rest. The last cell prints yours.

# %%
import activekd_lab as akd
from activekd_lab import notebooks, stats
from activekd_lab.plots.predictions import prediction_gallery
from activekd_lab.prepare import resolve_backbone

notebooks.start()

# %% [markdown]
# ## Settings
#
# Every value may be changed here, or passed by `papermill -p name value`. A misspelt name or an impossible value is
# refused by the cell below.

# %% tags=["parameters"]
profile: str = "quick"  # smoke | quick | paper; smoke and paper set rounds and the length of training themselves
task: str = "shapes"  # which images, see `activekd-lab tasks`
selector: str = "pcoreset"  # who picks, see `activekd-lab selectors`
rounds: int = 8  # query rounds after the initial labels
budget: int = 48  # labels bought in a round
seed: int = 0  # derives every random step

# %%
parameters = notebooks.read_parameters(globals())
config = resolve_backbone(parameters.config)
print(f"profile {parameters.profile}: {config.run_name}")

# %% [markdown]
# ## The teacher: broad, free, and wrong in patterns
#
# A **vision-language model** (here a small CLIP) has seen images with captions. Give it the class names as sentences,
# and it compares each image with each sentence. That is **zero-shot** classification: no label of ours was used. The
# result is a vector of probabilities for every image, one number a class.
#
# The images that nobody has labelled yet are the **pool**. The pool here is long-tailed, as real ones are: some
# classes are common and some are rare.

# %%
active = akd.ActiveRun(config)
data = active.prepared.task
pool, names = data.train, data.class_names
print(f"pool: {len(pool)} images of {data.num_classes} classes, test: {len(data.test)} images")
print(f"image: {tuple(pool.images.shape[1:])}, prompt: {data.templates[0].format(names[0])!r}")
print(f"teacher, zero-shot on the test images: {active.prepared.teacher_accuracy:.1%}")

# %% [markdown]
# Sixteen images of the pool, with the truth and what the teacher says. Look at its errors: are they random, or does
# it get *half* of the answer right?

# %%
teacher = active.prepared.teacher_probabilities  # (N, C)
prediction_gallery(pool.images, pool.labels, teacher, names, range(16), title="The teacher's answers")

# %% [markdown]
# Now the whole pool: which answers does the teacher give too often?

# %%
answers = teacher.argmax(1).bincount(minlength=data.num_classes)
truth = pool.labels.bincount(minlength=data.num_classes)
for c in (answers - truth).topk(5).indices.tolist():
    print(f"{names[c]:24} answered for {answers[c]:4d} images, true for {truth[c]:4d}")

# %% [markdown] tags=["exercise-text"]
# ### Exercise 1 — accuracy
#
# Write the number that all curves below show: the share of images whose most probable class is the true one. **Predict
# first**: is the mean probability of the true class the same number, a smaller or a larger one?
#
# <details><summary>Hint</summary>
#
# `probabilities.argmax(1)` gives one class a row; comparing it with `labels` gives one True or False a row.
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
akd.checks.check("00.accuracy", accuracy)

# %% [markdown] tags=["exercise-text"]
# ### Exercise 2 — which answers come too often?
#
# The table above comes from one number a class: how often it is answered, minus how often it is true. **Predict
# first**: what do these numbers sum to, whatever the teacher?
#
# <details><summary>Hint</summary>
#
# `classes.bincount(minlength=C)` counts each class, those that never occur included.
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
akd.checks.check("00.surplus", surplus)

# %% [markdown]
# A few answers attract images that belong elsewhere. Behind this is what the ActiveKD paper calls **structured
# prediction bias**: the teacher's probability vectors gather in clusters instead of spreading over all possibilities.
# `01_teacher` measures that, against controls.
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
# It starts with one labelled image of each class.

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

# %% [markdown]
# **PCoreSet**, the default selector, treats each row of probabilities as a point in space. It picks the image whose
# point is farthest from all labelled points, adds it to them, and repeats. So it goes where the student predicts
# something that no label has touched yet.
#
# ## The loop, and a prediction
#
# The cell after next runs the remaining rounds. **First write down what you expect**: which share of the test images
# will the student get right after the last round?

# %%
your_guess = 0.5  # a fraction; replace it

# %%
for record in steps:
    print(f"round {record.round}: {record.labels:4d} labels, accuracy {record.accuracy:.1%}")
result = active.result()
print(f"you said {your_guess:.1%}, it is {result.final_accuracy:.1%}")

# %% [markdown]
# ## What does the teacher add?
#
# The same run once more, on labels alone: one head, no teacher. **Predict first**: which of the two learns faster, and
# does the other one catch up?

# %%
labels_only = akd.run(config.with_(method="ce"))
akd.plots.learning_curves([result, labels_only])

# %% [markdown]
# The distance between the two curves is what distillation buys at that number of labels. The dashed level is the
# teacher itself, without any label: a student below it cannot replace its teacher yet. After how many labels does it?
# `inf` would mean: not within these rounds.

# %%
table = result.frame()
cost = stats.label_cost(table.labels, table.accuracy, result.teacher_accuracy)
print(f"as good as the teacher: after {cost:.0f} labels; bought in all: {table.labels.iloc[-1]} of {len(pool)} images")
table[["round", "labels", "accuracy", "covering_radius", "seconds_train", "seconds_select"]].round(3)

# %% [markdown]
# Why not keep the teacher? In real use it is a CLIP of hundreds of megabytes that cannot improve on your classes
# without labels; a student is small and learns from both. Our toy teacher is unusually small, so compare accuracies
# here, not sizes.
#
# One run is one draw of luck. Whether one selector is better than another is a question over several seeds;
# `activekd-lab demo` asks it for four selectors, with and without a teacher.
#
# ## The probability map
#
# Every dot is an image of the pool, placed by the student's probabilities. On the rim the student is certain of one
# class, in the middle it is undecided. Diamonds have a label, numbered dots are picked next.
#
# **Predict first**: where will most dots lie after the first round, and where after the last? Then move the slider.

# %%
akd.plots.probability_map(result)

# %% [markdown]
# ## What does a larger budget cover?
#
# The **covering radius** is the largest distance from an unlabelled image to its nearest label, measured between
# probabilities. A small one means: no prediction is far from something we know.
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
# ## What we learned
#
# 1. A zero-shot teacher knows a lot for free; its errors have structure.
# 2. A round trains a fresh student with two heads on labels and teacher, measures it, and picks the next images.
# 3. The learning curve shows accuracy for labels spent; the same run without a teacher shows what distillation buys.
# 4. The probability map shows what the student is sure of; a larger budget lowers the covering radius, but not in
#    proportion.
#
# **Next.** Change `selector` to `"random"` in the settings, run all cells again, and compare. Then run `activekd-lab
# demo`, which repeats this over selectors and seeds and writes a report.

# %%
notebooks.finish(parameters, result)
