# %% [markdown]
# # Your own images: from a folder to a small model
#
# <!-- badges: Colab and Binder -->
#
# Mira's photos are files in a folder, without a word about what they show. Now she labels them herself, about fifty, and
# takes a small model home. Do the same with a folder of your own, or watch the truth play her part on rendered land.
#
# **Question.** You have a folder of images, a few class names, and an hour. Which images do you label, and what do you
# have at the end?
#
# **After this notebook you can**
#
# 1. make a task of a folder of images,
# 2. label what a selector asks for, with undo and without fear of losing an answer,
# 3. train a student on your labels and a teacher, and measure it on images put aside,
# 4. take labels and model away.
#
# **You need** the quickstart (`00_quickstart`). No GPU, no network.
#
# **Time and memory**: on 2 quiet CPU cores the cells take 6 s once images and features are cached, longer the first
# time, and 1.3 GB; the last cell prints yours.

# %% [markdown]
# <!-- diagram: labels -->

# %%
from pathlib import Path

import torch

import activekd_lab as akd
from activekd_lab.course import notebooks
from activekd_lab.data.folder import write_images
from activekd_lab.labeling.simulation import simulate
from activekd_lab.plots.predictions import prediction_gallery

notebooks.start("labels")

# %% [markdown]
# ## Settings

# %% tags=["parameters"]
profile: str = "quick"  # smoke | quick | paper; smoke and paper set the length of training themselves
photos: str = ""  # your folder of images; empty makes one of rendered land
classes: str = ""  # your class names, with commas between them
held_out: str = ""  # a second folder: images put aside at random, to measure with
selector: str = "pcoreset"  # who asks, see `activekd-lab selectors`
batch: int = 12  # images asked for at a time
labels: int = 48  # labels to give in all
seed: int = 0  # derives every random step

# %%
parameters = notebooks.read_parameters(globals(), also=("photos", "classes", "held_out", "batch", "labels"))
print(f"profile {parameters.profile}: {selector}, {labels} labels in batches of {batch}")

# %% [markdown]
# ## A folder
#
# Any folder will do: photographs in any format, one flat heap or a folder a class. If you gave none, the next cell
# writes one: 400 images without a word about what they show. We keep the truth aside. It plays the person who labels,
# and lets us measure at the end.
#
# **Your own photos** need images to measure with, too, and they must be put aside *before* a selector asks for anything:
# what it asks for is no fair sample. This moves 30 files, drawn at random, into a second folder, which you name in
# `held_out` (a folder a class stays one there):
#
# ```python
# import random
# from pathlib import Path
#
# photos, held_out = Path("photos"), Path("held-out")  # your folders
# files = sorted(file for file in photos.rglob("*") if file.is_file())
# for file in random.Random(0).sample(files, 30):
#     target = held_out / file.relative_to(photos)
#     target.parent.mkdir(parents=True, exist_ok=True)
#     file.rename(target)
# ```

# %%
demo = akd.load_task("tiles", pool_size=400, test_per_class=20)
folder = Path(photos) if photos else write_images(demo.train, "my-photos")
given = [name.strip() for name in classes.split(",") if name.strip()] if photos else list(demo.class_names)
print(f"{folder}: {len(list(folder.iterdir()))} entries; classes: {', '.join(given) or 'its folders'}")

# %% [markdown]
# ## A session
#
# `label_folder` reads every file once (upright, RGB, one size), names those that cannot be read, and opens a
# **labelling session**. Its folder keeps every answer at once. Close the notebook in the middle, run this cell again,
# and it goes on where you stood. To start again, delete that folder first.

# %%
place, config = f"{folder.name}-labels", parameters.config
session = akd.labeling.label_folder(
    folder, given or None, place, selector=selector, batch=batch, config=config, seed=seed
)
names = list(session.task.class_names)
print(f"in {place}: {session.progress}")

# %% [markdown]
# Before you have given a single label, somebody already has an opinion: the teacher, from the class names alone. Look
# at eight of its answers (on your own photos the truth is a question mark).

# %%
lucky = akd.widgets.Predict("05.lucky", "How many of the teacher's first eight answers are right?", (0, 8), within=1)
lucky

# %%
pool = session.task.train
truth = pool.labels if photos else demo.train.labels
some = range(min(8, len(pool)))
if not photos:
    right = session.prepared.teacher_probabilities[:8].argmax(1) == truth[:8]
    print(lucky.reveal(int(right.sum())))
prediction_gallery(pool.images, truth, session.prepared.teacher_probabilities, names, some, title="The teacher")

# %% [markdown]
# ## Label
#
# `session.current` is the image that the selector wants to know about. You answer with a class (`session.answer`), put
# it off (`session.skip`), say that it is none of these (`session.reject`), or take the last answer back
# (`session.undo`). The widget below does the same with keys: click into it, then the key on a class's button labels, `u`
# undoes, `s` puts off, `x` is in no class, `?` asks the model. In a terminal, `activekd-lab label FOLDER --classes a,b,c`
# does.
#
# There is no label yet, so no centre to be far from: PCoreSet begins with the image whose prediction is nearest to the mean
# of all. **Predict first**: will it then ask for easy images, or for odd ones? Will two of a batch look alike?

# %%
akd.widgets.Labeler(session)

# %% [markdown]
# **Your own photos**: label a batch or two above before you go on. The cell with `session.train()` uses them; then
# the widget asks what the *student* wants to know: go back to it, label, and train again, as often as you like.
#
# Label the images put aside as well, all of them. They train nothing.

# %%
exam = None
if photos and held_out:
    exam = akd.labeling.label_folder(
        held_out, names, f"{Path(held_out).name}-labels", selector="random", config=config, seed=seed
    )
akd.widgets.Labeler(exam) if exam else None

# %% [markdown]
# **The rendered ones**: from here on the truth answers, and what you labelled above stays. One slip of the finger, taken back,
# and the same slip again, which nobody notices (if no label of yours is wrong already):

# %%
wrong = [] if photos else [i for i, c in session.labels.items() if int(truth[i]) != c]
if not photos and not wrong and session.current is not None:
    asked = session.current
    slip = 0 if int(truth[asked]) != 0 else 1
    session.answer(slip)
    print("labels, one of them wrong:", len(session.labels))
    session.undo()
    print("taken back:", len(session.labels), "and asked again:", session.current == asked)
    session.answer(slip)
    wrong = [asked]
print(
    f"labelled wrongly: {', '.join(f'image {i}' for i in wrong)}" if wrong else "only you know which labels are wrong"
)

# %% [markdown]
# Now a few batches. After each one the student is trained again, on the labels and on the teacher, and *it* decides
# what to ask next. (The counts are odd because the slip is a label, too, before the first batch.) If you run all cells a
# second time, the labels of the first time are there, nothing is left to ask, and the curve is one point: delete the session's
# folder to start again, or raise `labels` to go on.

# %%
final = akd.widgets.Predict(
    "05.final", "What share of new images will the student get right at the end?", (0, 100), within=5, unit=" %"
)
final

# %%
curve, all_there = [], photos or len(session.labels) >= labels
for trained in [session.train()] if all_there else simulate(session, truth, labels):
    print(f"{trained.labels:3d} labels, loss {trained.loss:.2f} {trained.remark}")
    if not photos:
        predicted = session.saved_student().predict(demo.test.images).argmax(1)
        curve.append((trained.labels, float((predicted == demo.test.labels).float().mean())))

# %% [markdown]
# And what did it ask for first, when it had nothing but the teacher's answers? How sure the teacher is of an image, and how
# far two images are apart in what it says of them, and in how it sees them (its embeddings):

# %%
said_of, seen = session.prepared.teacher_probabilities, session.prepared.embeddings
for name, ids in {"first batch": list(session.labels)[:batch], "all images": list(range(len(pool)))}.items():
    sure, (said, look) = said_of[ids].max(1).values.mean(), (torch.pdist(rows[ids]).mean() for rows in (said_of, seen))
    print(f"{name:11} largest probability {sure:.2f}; distance of two: in what is said {said:.2f}, in looks {look:.2f}")

# %% [markdown]
# <details><summary>Answer to the prediction</summary>
#
# PCoreSet asks neither for easy nor for hard images but for *different answers*: two of a batch are farther apart, in what is
# said of them, than two images drawn at random. Far apart are sure answers, near the corners, so the batch is no collection of
# riddles. Whether they *look* alike is not asked: the last column says what came of it.
#
# </details>

# %% [markdown] tags=["exercise-text"]
# ### Exercise 1 — what is missing?
#
# *About 5 minutes, easy.*
#
# Before you ask for more labels: which classes have none yet? **Predict first**: after 48 labels in 12 classes, will
# every class have one?
#
# <details><summary>Hint</summary>
#
# A class number is a position in the list of names. `set(labels)` holds each number once.
#
# </details>
#
# <details><summary>Answer to the prediction</summary>
#
# Not surely: the selector does not know the classes. The cell below the check counts it on the session that lies open.
#
# </details>


# %% tags=["exercise"]
def without_label(labels, class_names):
    """Return the names of classes without a label, in their order, from a list of class numbers and the names."""
    ### BEGIN SOLUTION
    known = set(labels)
    return [name for c, name in enumerate(class_names) if c not in known]
    ### END SOLUTION


# %%
akd.course.check("05.without_label", without_label)

# %%
if akd.course.solved("05.without_label"):  # your function, on this session
    print("classes without a label:", without_label(list(session.labels.values()), names) or "none")

# %% [markdown] tags=["exercise-text"]
# ### Exercise 2 — which of my labels should I check again?
#
# *About 10 minutes, medium.*
#
# People slip. A model is surprised by a wrong label: it gives that class a low probability, lower than that of the others.
# Return the positions of the most surprising labels. **Predict first**: would this find a class that you *always* label
# wrongly? And can a student be surprised by a label that it was trained on?
#
# <details><summary>Hint</summary>
#
# `probabilities[torch.arange(L), labels]` is the probability of each given label. Small is surprising.
#
# </details>
#
# <details><summary>Answer to the prediction</summary>
#
# No: the student learns from you that it is right, and is not surprised. And not much even by a single slip: its label head
# has learned every label by heart, and is half of the answer. Its other head never heard a label, only the teacher.
#
# </details>


# %% tags=["exercise"]
import dataclasses

import torch


def suspects(probabilities, labels, count):
    """Return the positions of the `count` least probable labels, worst first: (L, C) probabilities, (L,) classes."""
    ### BEGIN SOLUTION
    given = probabilities[torch.arange(len(labels)), labels]
    return given.argsort()[:count]
    ### END SOLUTION


# %%
akd.course.check("05.suspects", suspects)

# %% [markdown]
# Your function on this session, for the whole answer and for each head alone: the first five, and on the rendered images
# where the wrong label stands.

# %%
if akd.course.solved("05.suspects") and session.labels:
    ids, given_labels = map(list, zip(*session.labels.items(), strict=True))
    whole, of = session.saved_student(), torch.arange(len(ids))
    heads = {"answer": whole.ce_weight, "label head": 1.0, "teacher's head": 0.0}
    for name, ce_weight in heads.items():
        p = dataclasses.replace(whole, ce_weight=ce_weight).predict(pool.images[ids])
        given_p = p[of, torch.tensor(given_labels)]
        order = [int(k) for k in suspects(p, torch.tensor(given_labels), len(ids))]
        print(f"{name}:", *(f"image {ids[k]} {given_p[k]:.3f}" for k in order[:5]), sep="  ")
        right = given_p[[k for k in of if ids[k] not in wrong]].min()
        for i in wrong:
            k = ids.index(i)
            print(f"  image {i}, labelled {names[given_labels[k]]}, in truth {names[truth[i]]}: suspect", end=" ")
            print(f"{order.index(k) + 1} of {len(ids)}; its label has {given_p[k]:.3f}, no right one below {right:.3f}")

# %% [markdown]
# Read the probabilities before you trust an order: a lead of a hair is none. The label head gives even the wrong label a high
# one, since it knows its lessons by heart, and a student is a poor judge of those. The teacher's head never heard the labels,
# but it finds *its own* errors beside yours: it is surprised wherever the teacher is wrong. A judge without either fault is a
# student trained without the label in question, which costs a training a label.
#
# **In short.** The student can help to find a wrong label, but it has learned that label, so it doubts it only a little. Look at
# the first few suspects yourself.
#
# The loss says little: it is a sum with the teacher's part, and hardly moves while accuracy rises. What counts are images
# that trained nothing. On the rendered ones, and on your `held_out`:

# %%
measured, right = len(demo.test), curve[-1][1] if curve else None
if exam and exam.labels:
    kept, true = map(list, zip(*exam.labels.items(), strict=True))
    answers = session.saved_student().predict(exam.task.train.images[kept]).argmax(1)
    measured, right = len(kept), float((answers == torch.tensor(true)).double().mean())
    print(f"student, {len(session.labels)} labels: {right:.1%} of {measured} images put aside")
if not photos:
    teacher = session.prepared.teacher.encode(demo.test)
    zero_shot = session.prepared.zero_shot.probabilities(teacher).argmax(1)
    its = float((zero_shot == demo.test.labels).float().mean())
    print(f"teacher, no label: {its:.1%}")
    for count, accuracy in curve:
        print(f"student, {count} labels: {accuracy:.1%}, {'above' if accuracy > its else 'not above'} its teacher")
    print(final.reveal(100 * right))

# %% [markdown]
# On rendered land the teacher is out of its domain, so a few labels overtake it. Your photos may be another case: where a
# teacher knows them well, a student of few labels stays below it (`04_activekd` says why, and what to do then). Which case is
# yours? How often the teacher agrees with your labels is a first sign, though what a selector asks for is no fair sample.

# %%
ids, said = map(list, zip(*session.labels.items(), strict=True))
agreed = session.prepared.teacher_probabilities[ids].argmax(1) == torch.tensor(said)
print(f"the teacher agrees with {float(agreed.float().mean()):.1%} of {len(ids)} labels")

# %% [markdown] tags=["exercise-text"]
# ### Exercise 3 — how sure is an accuracy?
#
# *About 10 minutes, easy.*
#
# An accuracy a on n test images has a standard error of √(a(1 − a)/n). In about 95 of 100 such experiments, the accuracy on
# *all* images of this kind lies within two standard errors of a. For few images, or close to 0 and 1, this is too narrow: for
# 8 right of 8 it is ± 0. **Predict first**: how many times more images halve the error?
#
# <details><summary>Hint</summary>
#
# `x**0.5` is a square root. The interval is a − 2·error to a + 2·error, and an accuracy stays within 0 and 1.
#
# </details>
#
# <details><summary>Answer to the prediction</summary>
#
# Four times: the error falls with the square root of n.
#
# </details>


# %% tags=["exercise"]
def interval(accuracy, images):
    """Return (low, high), two standard errors around an accuracy in [0, 1] on that many images, cut to [0, 1]."""
    ### BEGIN SOLUTION
    error = (accuracy * (1 - accuracy) / images) ** 0.5
    return max(0.0, accuracy - 2 * error), min(1.0, accuracy + 2 * error)
    ### END SOLUTION


# %%
akd.course.check("05.interval", interval)

# %%
if akd.course.solved("05.interval") and right is not None:  # your function, on this student
    print("{:.1%} to {:.1%}".format(*interval(right, measured)), f"on {measured} images")
    print("{:.1%} to {:.1%}".format(*interval(right, 30)), "if there were only 30")
    if not photos:  # the prediction at the head of this notebook
        eight = float((session.prepared.teacher_probabilities[:8].argmax(1) == truth[:8]).double().mean())
        low, high = interval(eight, 8)
        known = float((session.prepared.teacher_probabilities.argmax(1) == truth).float().mean())
        print(
            f"the teacher's first eight answers, {eight:.0%} right: {low:.0%} to {high:.0%}; on the whole pool ",
            end="",
        )
        print(f"{known:.1%}, which lies {'inside' if low <= known <= high else 'outside'}")

# %% [markdown]
# Images of the same kind are those of the pool, from which the eight came. The test images are not: they hold every class
# equally often, the pool is long-tailed, and the teacher's accuracy on them is another number.
#
# **In short.** Only images that were put aside at random say how good the student is. Thirty of them give a rough number, so
# always print the interval beside it.
#
# ## Take it home
#
# The labels as a CSV that `FolderTask(…, labels=…)` reads again; the student as a folder for `activekd-lab predict`.
# `activekd-lab export my-student` makes one ONNX file of it, which needs no PyTorch (extra `export`).

# %%
student = session.saved_student()
print(session.export_csv("labels.csv").read_text().splitlines()[:3])
kept = student.save("my-student")
print(f"{kept}: {kept.stat().st_size / 1e6:.0f} MB")

# %%
again = akd.load_student("my-student", class_names=names)
files = [session.path(i) for i in range(3)]
for file, row in zip(files, again.predict(pool.images[:3]), strict=True):
    print(f"{file.name}: {names[int(row.argmax())]}, {float(row.max()):.0%}")

# %% [markdown]
# ## Paper, code, and here
#
# | | published (paper, abstract or repository) | the released code does | here |
# |---|---|---|---|
# | views |  | crops of half to all of an image, and flips; one view for student and teacher | by `backbone`: whole images where it is frozen |
# | what is measured |  | the last weights, on test images | the last weights; on your folder, the images in `held_out` |
# | validation |  | CoOp's validation split chooses mix and epoch (DHO) | none: ½ and ½, as in ActiveKD on its ten data sets |
#
# **Open problem.** Without test labels, how many labels tell you that your student is good enough, and which images
# should they be on?
#
# **Read on.** [ActiveKD](https://arxiv.org/abs/2506.00910), [DHO](https://arxiv.org/abs/2505.07675). Words, symbols
# and all figures: [GLOSSARY](GLOSSARY.md).

# %% [markdown]
# ## What we learned
#
# 1. A folder and class names are enough to begin: the teacher gives everything else.
# 2. A session asks in batches and keeps each answer; training in between changes what it asks.
# 3. The student learns from your labels and the teacher together; only images put aside at random say how good it is.
# 4. What you take home is small: labels as text, and a model of 14 megabytes.
#
# **Next.** Set `photos`, `held_out` and `classes` to your own (no `classes` if there is a folder for each), and label. Then try
# 20 labels with `selector = "random"` and 20 with `"pcoreset"`, deleting the session's folder in between: which set would you
# rather have labelled? A colleague wants the same with other settings, and to the last digit: `06_reproduce`.

# %%
notebooks.finish(parameters, {"labels": len(session.labels), "curve": curve, "progress": session.progress._asdict()})
