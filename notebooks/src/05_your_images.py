# %% [markdown]
# # Your own images: from a folder to a small model
#
# <!-- badges: Colab and Binder -->
#
# **Question.** You have a folder of images, a few class names, and an hour. Which images do you label, and what do you
# have at the end?
#
# **After this notebook you can**
#
# 1. make a task of a folder of images,
# 2. label what a selector asks for, with undo and without fear of losing an answer,
# 3. train a student on your labels and a teacher, and see what the labels bought,
# 4. take labels and model away.
#
# **You need** the quickstart (`00_quickstart`). No GPU, no network.
#
# **Time and memory**: on 2 quiet CPU cores the cells take 6 s once images and features are cached, longer the first
# time, and 1.3 GB; the last cell prints yours.

# %%
from pathlib import Path

import activekd_lab as akd
from activekd_lab import notebooks
from activekd_lab.data.folder import write_images
from activekd_lab.labeling import simulate
from activekd_lab.plots.predictions import prediction_gallery

notebooks.start()

# %% [markdown]
# ## Settings

# %% tags=["parameters"]
profile: str = "quick"  # smoke | quick | paper; smoke and paper set the length of training themselves
photos: str = ""  # your folder of images; empty makes one of rendered shapes
classes: str = ""  # your class names, with commas between them
selector: str = "pcoreset"  # who asks, see `activekd-lab selectors`
batch: int = 12  # images asked for at a time
labels: int = 48  # labels to give in all
seed: int = 0  # derives every random step

# %%
parameters = notebooks.read_parameters(globals(), also=("photos", "classes", "batch", "labels"))
print(f"profile {parameters.profile}: {selector}, {labels} labels in batches of {batch}")

# %% [markdown]
# ## A folder
#
# Any folder will do: photographs in any format, one flat heap or a folder a class. If you gave none, the next cell
# writes one: 400 images without a word about what they show. We keep the truth aside. It plays the person who labels,
# and lets us measure at the end, which you cannot do on a folder that nobody has labelled.

# %%
demo = akd.load_task("shapes", num_classes=12, pool_size=400, test_per_class=20)
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
session = akd.label_folder(folder, given or None, place, selector=selector, batch=batch, config=config, seed=seed)
names = list(session.task.class_names)
print(f"in {place}: {session.progress}")

# %% [markdown]
# Before you have given a single label, somebody already has an opinion: the teacher, from the class names alone. Look
# at eight of its answers (on your own photos the truth is a question mark). **Predict first**: how many are right?

# %%
pool = session.task.train
truth = pool.labels if photos else demo.train.labels
some = range(min(8, len(pool)))
prediction_gallery(pool.images, truth, session.prepared.teacher_probabilities, names, some, title="The teacher")

# %% [markdown]
# ## Label
#
# `session.current` is the image that the selector wants to know about. You answer with a class (`session.answer`), put
# it off (`session.skip`), say that it is none of these (`session.reject`), or take the last answer back
# (`session.undo`). The widget below does the same with keys: click into it, then `1` … `9` label, `u` undoes, `s` puts
# off, `x` is in no class, `?` asks the model. In a terminal, `activekd-lab label FOLDER --classes a,b,c` does.
#
# **Predict first**: will it ask for easy images first, or for odd ones? Will two of a batch look alike?

# %%
akd.widgets.Labeler(session)

# %% [markdown]
# **Your own photos**: label a batch or two above before you go on. The cell with `session.train()` uses them; then
# the widget asks what the *student* wants to know: go back to it, label, and train again, as often as you like.
#
# **The rendered ones**: from here on the truth answers. One slip of the finger, taken back:

# %%
if not photos:
    asked = session.current
    session.answer(0 if int(truth[asked]) != 0 else 1)
    print("labels, one of them wrong:", len(session.labels))
    session.undo()
    print("taken back:", len(session.labels), "and asked again:", session.current == asked)

# %% [markdown]
# Now a few batches. After each one the student is trained again, on the labels and on the teacher, and *it* decides
# what to ask next. If you run all cells a second time, the labels of the first time are there, nothing is left to ask,
# and the curve stays empty: delete the session's folder to start again, or raise `labels` to go on.
#
# **Predict first**: what share of new images will the student get right at the end?

# %%
your_guess = 0.5  # a fraction; replace it

# %%
curve = []
if photos:
    print(session.train())
else:
    for trained in simulate(session, truth, labels):
        predicted = session.saved_student().predict(demo.test.images).argmax(1)
        curve.append((trained.labels, float((predicted == demo.test.labels).float().mean())))
        print(f"{trained.labels:3d} labels, loss {trained.loss:.2f}")

# %% [markdown] tags=["exercise-text"]
# ### Exercise 1 — what is missing?
#
# Before you ask for more labels: which classes have none yet? **Predict first**: after 48 labels in 12 classes, will
# every class have one?
#
# <details><summary>Hint</summary>
#
# A class number is a position in the list of names. `set(labels)` holds each number once.
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
akd.checks.check("05.without_label", without_label)

# %% [markdown] tags=["exercise-text"]
# ### Exercise 2 — which of my labels should I check again?
#
# People slip. A trained student is surprised by a wrong label: it gives that class a low probability. Return the
# positions of the most surprising labels. **Predict first**: would this find a class that you *always* label wrongly?
#
# <details><summary>Hint</summary>
#
# `probabilities[torch.arange(L), labels]` is the probability of each given label. Small is surprising.
#
# </details>


# %% tags=["exercise"]
import torch


def suspects(probabilities, labels, count):
    """Return the positions of the `count` least probable labels, worst first: (L, C) probabilities, (L,) classes."""
    ### BEGIN SOLUTION
    given = probabilities[torch.arange(len(labels)), labels]
    return given.argsort()[:count]
    ### END SOLUTION


# %%
akd.checks.check("05.suspects", suspects)

# %% [markdown]
# On your own folder there is no truth about new images, so the loss is all. On the rendered ones:

# %%
if not photos:
    teacher = session.prepared.teacher.encode(demo.test)
    zero_shot = session.prepared.zero_shot.probabilities(teacher).argmax(1)
    print(f"teacher, no label: {float((zero_shot == demo.test.labels).float().mean()):.1%}")
    for count, accuracy in curve:
        print(f"student, {count} labels: {accuracy:.1%}")
    print(f"you said {your_guess:.1%} for the last one")

# %% [markdown] tags=["exercise-text"]
# ### Exercise 3 — how sure is an accuracy?
#
# An accuracy a on n test images has a standard error of √(a(1 − a)/n): another n images of the same kind would usually
# give a value within two of them. **Predict first**: how many times more images halve the error?
#
# <details><summary>Hint</summary>
#
# `x**0.5` is a square root. The interval is a − 2·error to a + 2·error, and an accuracy stays within 0 and 1.
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
akd.checks.check("05.interval", interval)

# %% [markdown]
# ## Take it home
#
# The labels as a CSV that `FolderTask(…, labels=…)` reads again; the student as a folder for `activekd-lab predict`.
# `activekd-lab export my-student` makes one ONNX file of it, which needs no PyTorch (extra `export`).

# %%
student = session.saved_student()
print(session.export_csv("labels.csv").read_text().splitlines()[:3])
print(student.save("my-student"))

# %%
again = akd.load_student("my-student", class_names=names)
files = [session.path(i) for i in range(3)]
for file, row in zip(files, again.predict(pool.images[:3]), strict=True):
    print(f"{file.name}: {names[int(row.argmax())]}, {float(row.max()):.0%}")

# %% [markdown]
# ## What we learned
#
# 1. A folder and class names are enough to begin: the teacher gives everything else.
# 2. A session asks in batches and keeps each answer; training in between changes what it asks.
# 3. The student learns from your labels and the teacher together, and tells you what to label next.
# 4. What you take home is small: labels as text, and a model of a few megabytes.
#
# **Next.** Set `photos` and `classes` to your own (no `classes` if there is a folder for each), and label. Then try 20
# labels with `selector = "random"` and 20 with `"pcoreset"`, deleting the session's folder in between: which set would
# you rather have labelled?

# %%
notebooks.finish(parameters, {"labels": len(session.labels), "curve": curve, "progress": session.progress._asdict()})
