# %% [markdown]
# # Which images to label: unsure, different, or covering
#
# <!-- badges: Colab and Binder -->
#
# **Question.** You can pay for a few labels. A **selector** chooses the images. What should it look for: images that
# the student is unsure about, images unlike each other, or images that leave none far from a label?
#
# **After this notebook you can**
#
# 1. compute the entropy of a prediction, and say where on the simplex it is large,
# 2. pick by greedy k-center, by hand and in code, and read its covering radius,
# 3. build PCoreSet from these parts, and say what CoreSet does differently,
# 4. compare selectors by what their picks cover, in two spaces.
#
# **You need** the quickstart (`00_quickstart`): student, pool, round. No GPU, no network.
#
# **Time and memory**: on 2 quiet CPU cores the cells take 5 s once images and features are cached, longer the first
# time, and 1.2 GB; the last cell prints yours.

# %%
import pandas as pd
import torch

import activekd_lab as akd
from activekd_lab import notebooks
from activekd_lab.prepare import resolve_backbone

notebooks.start()

# %% [markdown]
# ## Settings

# %% tags=["parameters"]
profile: str = "quick"  # smoke | quick | paper; smoke and paper set the length of training themselves
task: str = "shapes"  # which images, see `activekd-lab tasks`
budget: int = 48  # labels bought in a round
seed: int = 0  # derives every random step

# %%
parameters = notebooks.read_parameters(globals())
config = resolve_backbone(parameters.config.with_(rounds=1))
print(f"profile {parameters.profile}: {config.run_name}")

# %% [markdown]
# ## Three classes, so that we can see
#
# A student's answer is a row of C probabilities that sum to one. All such rows form the **simplex**. With three classes
# it is a triangle: a corner is a certain answer, the middle is no idea, and nothing is lost in the drawing. So we begin
# with three classes, and one label of each. A *fresh* student has been trained on them and on the teacher.

# %%
three = akd.ActiveRun(config.with_(task="shapes", task_options={"num_classes": 3, "pool_size": 150}, budget=8))
print(f"accuracy: {next(iter(three)).accuracy:.1%}")
small, view = three.prepared.task, three.view
print("classes:", ", ".join(small.class_names))
print("pool (N, C):", tuple(view.probabilities.shape), "labelled (L, C):", tuple(view.labeled_probabilities.shape))

# %% [markdown]
# ## Uncertainty
#
# The oldest idea: ask about what you do not know. The **entropy** of a row, −Σ p log p, is 0 for a certain answer and
# largest, log C, when all classes are equally likely. The `entropy` selector takes the images with the largest ones.
#
# **Predict first**: where in the triangle will its picks lie? Will they be alike?

# %%
everything = torch.from_numpy(three.result().probabilities(0)).float()  # (all images, C), also the labelled ones
labeled = view.labeled_ids.sort().values
unsure = akd.widgets.SelectionExplorer(
    small, everything.numpy(), labeled_ids=labeled.numpy(), selector="entropy", budget=8
)
unsure.figure()

# %%
picks = torch.from_numpy(unsure.state.selection.picks)
apart, anyone = torch.pdist(everything[picks]).mean(), torch.pdist(everything).mean()
print(f"mean distance between two picks: {apart:.3f}, between any two images: {anyone:.3f}")
print(unsure.takeaway())

# %% [markdown]
# The most uncertain images resemble one another: eight labels buy much the same answer. That is the price of asking
# each image by itself.

# %% [markdown] tags=["exercise-text"]
# ### Exercise 1 — entropy
#
# **Predict first**: which of (½, ½, 0) and (0.6, 0.2, 0.2) has the larger entropy?
#
# <details><summary>Hint</summary>
#
# `torch.special.entr(p)` is −p log p, entry by entry, and 0 where p is 0. What is left is a sum over each row.
#
# </details>


# %% tags=["exercise"]
import torch


def entropy(probabilities):
    """Return the entropy of each row of (N, C) probabilities in nats, (N,); a zero probability adds nothing."""
    ### BEGIN SOLUTION
    return torch.special.entr(probabilities).sum(1)
    ### END SOLUTION


# %%
akd.checks.check("03.entropy", entropy)

# %% [markdown]
# ## Coverage, by hand
#
# Another idea: let no image be far from a label. Measure the distance of each image to its nearest label. The largest
# of these is the **covering radius**. The labelled images are **centres**; around each, a disc of that radius, and all
# the pool lies inside. To shrink the discs, label the image that is covered worst. The first pick by hand:

# %%
distance = torch.cdist(everything, everything[labeled])  # (all images, L)
nearest = distance.min(1).values
first = int(nearest.argmax())
print(f"covering radius {nearest.max():.3f}; worst covered: image {first}, {everything[first].round(decimals=2)}")

# %% [markdown]
# The second pick: image `first` is a centre now. Distances to the nearest centre can only fall, so one comparison an
# image is enough. **Predict first**: can the second pick be a neighbour of the first?

# %%
nearest = torch.minimum(nearest, torch.cdist(everything, everything[[first]])[:, 0])
second = int(nearest.argmax())
print(f"covering radius {nearest.max():.3f}; worst covered: image {second}, {everything[second].round(decimals=2)}")

# %% [markdown]
# Picking on like this is **greedy k-center**. The library's engine gives the same images, only faster. Move the slider,
# or press play, and watch the discs shrink. **Predict first**: after eight picks, will there be one in the middle?

# %%
found = akd.k_center_greedy(everything, everything[labeled], 8)
print("by hand:", [first, second], " library:", found.indices.tolist())
akd.plots.selection_steps(everything.numpy(), labeled.numpy(), found.indices.numpy(), small.class_names)

# %%
print(f"covering radius after two picks by hand: {nearest.max():.3f}")
for name, ids in (("entropy", picks), ("k-center", found.indices)):
    radius = akd.geometry.covering_radius(everything, everything[torch.cat([labeled, ids])])
    print(f"after eight by {name}: {radius:.3f}")

# %% [markdown] tags=["exercise-text"]
# ### Exercise 2 — the covering radius
#
# **Predict first**: can one more label make the covering radius larger?
#
# <details><summary>Hint</summary>
#
# `torch.cdist(points, centers)` is an (N, L) table of distances. Over which of its two directions do you take the
# smallest, and over which the largest?
#
# </details>


# %% tags=["exercise"]
import torch


def covering_radius(points, centers):
    """Return the largest distance, a float, of (N, D) points to their nearest of (L, D) centres."""
    ### BEGIN SOLUTION
    return float(torch.cdist(points, centers).min(1).values.max())
    ### END SOLUTION


# %%
akd.checks.check("03.covering_radius", covering_radius)

# %% [markdown] tags=["exercise-text"]
# ### Exercise 3 — one step
#
# **Predict first**: is the point that is farthest from the *mean* of all centres always the right one?
#
# <details><summary>Hint</summary>
#
# It is the point at which the covering radius is reached: `argmax` instead of `max`.
#
# </details>


# %% tags=["exercise"]
import torch


def farthest(points, centers):
    """Return the position, an int, of the one of (N, D) points that is farthest from its nearest of (L, D) centres."""
    ### BEGIN SOLUTION
    return int(torch.cdist(points, centers).min(1).values.argmax())
    ### END SOLUTION


# %%
akd.checks.check("03.farthest", farthest)

# %% [markdown]
# ## Two spaces: PCoreSet and CoreSet
#
# Coverage of *what*? An image has two descriptions: its **features**, what the network sees before its last layer, and
# its **probabilities**, what the network says. Greedy k-center on features, with the cosine as distance, is
# **CoreSet**. On probabilities, with the plain distance, it is **PCoreSet**, the selector of the ActiveKD paper. It
# stays away from images about which the student says what it said about a labelled one, however different they look.

# %% [markdown] tags=["exercise-text"]
# ### Exercise 4 — PCoreSet from parts
#
# A selector sees a `view` of the pool: `view.ids` (N,), `view.probabilities` (N, C), and `view.labeled_probabilities`
# (L, C). Put your steps together. **Predict first**: what goes wrong if you take the `budget` farthest points at once?
#
# <details><summary>Hint</summary>
#
# Keep `centers`. In each step take the farthest point, and `torch.cat` its row to the centres. At the end,
# turn positions into ids.
#
# </details>


# %% tags=["exercise"]
import torch


def pcoreset(view, budget):
    """Return the (budget,) ids that greedy k-center picks on the probabilities of a view of the pool."""
    ### BEGIN SOLUTION
    centers, positions = view.labeled_probabilities, []
    for _ in range(budget):
        nearest = torch.cdist(view.probabilities, centers).min(1).values
        positions.append(int(nearest.argmax()))
        centers = torch.cat([centers, view.probabilities[positions[-1:]]])
    return view.ids[positions]
    ### END SOLUTION


# %%
akd.checks.check("03.pcoreset", pcoreset)

# %% [markdown]
# ## All classes, four selectors
#
# Now the whole task, in its first round: one label a class. Each selector picks `budget` images. We measure what the
# picks cover, in both spaces, how unsure the student was about them, and, with the labels that were bought, how many
# classes they show. A smaller radius is better coverage.
#
# **Predict first**: which selector has the smallest radius between probabilities, which between features? Which finds
# the most classes?

# %%
active = akd.ActiveRun(config)
print(f"{next(iter(active)).labels} labels, budget {active.budget}")
view, names = active.view, ("pcoreset", "coreset", "entropy", "random")
chosen = {name: akd.select(name, view, active.budget, generator=torch.Generator().manual_seed(seed)) for name in names}

# %%
pool, rows = active.prepared.task.train, []
for ids in chosen.values():
    at = torch.searchsorted(view.ids, ids)  # ids are sorted
    p, f = (torch.cat(pair) for pair in ((view.labeled_probabilities, view.probabilities[at]),
                                         (view.labeled_features, view.features[at])))  # fmt: skip
    in_p = akd.geometry.covering_radius(view.probabilities, p)
    in_f = akd.geometry.covering_radius(view.features, f, metric="cosine")
    doubt = torch.special.entr(view.probabilities[at]).sum(1).mean()
    rows.append([in_p, in_f, float(doubt), len(pool.labels[ids].unique())])
columns = ["radius, probabilities", "radius, features (cosine)", "mean entropy of the picks", "classes among the picks"]
pd.DataFrame(rows, index=list(chosen), columns=columns).round(3)

# %% [markdown]
# Each selector wins in what it looks for. Whether that makes a better *student* is another question, and it takes
# rounds and seeds to answer it: `04_activekd` does.
#
# ## Play
#
# Every dot is an image, placed by the student's probabilities. Change the selector and the budget, and read the
# sentence beside the map. **Predict first**: where on the wheel will `entropy` pick, and where `coreset`?

# %%
output = active.prepared.predict(active.student)[0]
features = output.features.numpy()
explorer = akd.widgets.SelectionExplorer(active.prepared.task, active.result(), features=features, budget=config.budget)
explorer

# %% [markdown]
# ## What we learned
#
# 1. Entropy is large in the middle of the simplex; the most uncertain images are often alike.
# 2. Greedy k-center labels the worst covered image, again and again; the covering radius falls and never rises.
# 3. PCoreSet is greedy k-center on the student's probabilities, CoreSet on its features.
# 4. A selector is good at what it measures: compare coverage in both spaces, and ask what a student makes of it.
#
# **Next.** `04_activekd` runs the loop with each selector over several seeds. Before you go there: which one do you
# expect to win with few labels, and which with many?

# %%
notebooks.finish(parameters, {"coverage": dict(zip(chosen, rows, strict=True)), "columns": columns})
