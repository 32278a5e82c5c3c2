# %% [markdown]
# # Which images to label: unsure, different, or covering
#
# <!-- badges: Colab and Binder -->
#
# Mira has time for a dozen more photos today. To ask about those that puzzle the student sounds right; to ask about
# those unlike any she has named sounds right, too. She draws three classes on paper, and watches where each rule sends
# her.
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
# **Time and memory**: on 2 quiet CPU cores the cells take about 40 s once images and features are cached, longer the first
# time, and 1.2 GB, and the first time 1.0 GB more in a process beside it; the last cell prints yours.

# %% [markdown]
# <!-- diagram: selector -->

# %%
from itertools import combinations

import pandas as pd
import torch

import activekd_lab as akd
from activekd_lab import stats
from activekd_lab.course import notebooks
from activekd_lab.course.experiments.students import interval_text
from activekd_lab.teachers import bias

notebooks.start("selector")

# %% [markdown]
# ## Settings

# %% tags=["parameters"]
profile: str = "quick"  # smoke | quick | paper; smoke and paper set the length of training themselves
task: str = "shapes"  # which images, see `activekd-lab tasks`
budget: int = 48  # labels bought in a round
seeds: int = 8  # first rounds over which the teacher's clusters are counted
seed: int = 0  # derives every random step

# %%
parameters = notebooks.read_parameters(globals(), also=("seeds",))
config = parameters.config.with_(rounds=1).resolve()
print(f"profile {parameters.profile}: {config.run_name}")

# %% [markdown]
# ## Three classes, so that we can see
#
# A student's answer is a row of C probabilities that sum to one. All such rows form the **simplex**. With three classes
# it is a triangle: a corner is a certain answer, the middle is no idea, and nothing is lost in the drawing. So we begin
# with three classes, and one label of each. A *fresh* student has been trained on them and on the teacher.

# %%
three_config = config.with_(task="shapes", task_options={"num_classes": 3, "pool_size": 150}, budget=8)
three = akd.active.ActiveRun(akd.prepare(three_config))
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
# Their *answers* lie close together, as they must near the middle; that is the price of asking each image by itself. Whether
# the *images* are alike is another question: the table further down measures both spaces.

# %% [markdown] tags=["exercise-text"]
# ### Exercise 1 — entropy
#
# *About 5 minutes, easy.*
#
# **Predict first**: which of (½, ½, 0) and (0.6, 0.2, 0.2) has the larger entropy?
#
# <details><summary>Hint</summary>
#
# `torch.special.entr(p)` is −p log p, entry by entry, and 0 where p is 0. What is left is a sum over each row.
#
# </details>
#
# <details><summary>Answer to the prediction</summary>
#
# (0.6, 0.2, 0.2): it keeps three answers open, the other one only two. The cell below the check prints both.
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
akd.course.check("03.entropy", entropy)

# %%
if akd.course.solved("03.entropy"):  # your function, on the prediction and on the picks
    print("(½, ½, 0) and (0.6, 0.2, 0.2):", entropy(torch.tensor([[0.5, 0.5, 0], [0.6, 0.2, 0.2]])))
    print(f"mean of the picks {entropy(everything[picks]).mean():.3f}, of all images {entropy(everything).mean():.3f}")

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
apart = (everything[second] - everything[first]).norm()
print(f"distance from the first pick: {apart:.3f}, a neighbour's would be near 0")

# %% [markdown]
# No: whatever lies near the first pick is covered by it. Picking on like this is **greedy k-center**. The library's engine
# gives the same images, only faster. Move the slider, or press play, and watch the discs shrink. **Predict first**: how much of
# the radius will be left after eight picks?

# %%
found = akd.k_center_greedy(everything, everything[labeled], 8)
print("by hand:", [first, second], " library:", found.indices.tolist())
akd.plots.selection_steps(everything.numpy(), labeled.numpy(), found.indices.numpy(), small.class_names)

# %%
print(f"covering radius after two picks by hand: {nearest.max():.3f}")
for name, ids in (("entropy", picks), ("k-center", found.indices)):
    radius = akd.active.coverage.covering_radius(everything, everything[torch.cat([labeled, ids])])
    print(f"after eight by {name}: {radius:.3f}")

# %% [markdown]
# ### Derive it: greedy is at most twice as bad as the best
#
# Finding the best B centres is NP-hard, but greedy comes close. Let $r$ be its covering radius after B picks, and $R$
# the smallest radius that any B picks, beside the labels, could reach. **Claim**: $r \le 2R$.
#
# *Proof.* If $R \ge r$ there is nothing to show. Let $R < r$. The B picks and the point that is now covered worst are B + 1
# points, at least $r$ from each other and from every label: each pick was the worst covered point when it was picked, at a
# distance that was the radius then, and the radius has only fallen to $r$ since. So no label covers any of them within $R$,
# two of them share one of the best B centres, and the triangle inequality gives $r \le R + R$. ∎
#
# It needs a distance that obeys the triangle inequality. 1 − cosine does not, but it is half the squared distance of
# unit vectors: there the factor is 4. With nine images the best three can be found by trying all:

# %%
radius_of, ratios = akd.active.coverage.covering_radius, []
for k in range(100):
    nine = everything[torch.randperm(len(everything), generator=torch.Generator().manual_seed(k))[:9]]
    greedy = radius_of(
        nine, nine[[0, *akd.k_center_greedy(nine, nine[:1], 3).indices.tolist()]]
    )  # the first has a label
    ratios.append(greedy / min(radius_of(nine, nine[[0, *three_of]]) for three_of in combinations(range(1, 9), 3)))
print(f"greedy over best, 100 draws of nine images: {sum(ratios) / 100:.2f} in the mean, {max(ratios):.2f} at most")

# %% [markdown] tags=["exercise-text"]
# ### Exercise 2 — the covering radius
#
# *About 10 minutes, medium.*
#
# **Predict first**: can one more label make the covering radius larger?
#
# <details><summary>Hint</summary>
#
# `torch.cdist(points, centers)` is an (N, L) table of distances. Over which of its two directions do you take the
# smallest, and over which the largest?
#
# </details>
#
# <details><summary>Answer to the prediction</summary>
#
# No, as long as the points stay where they are: a further centre can only shorten a distance to the nearest. A new student
# moves all points, so from round to round it can rise.
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
akd.course.check("03.covering_radius", covering_radius)

# %%
if akd.course.solved("03.covering_radius"):  # your function, after each pick of k-center
    ids = [*labeled.tolist(), *found.indices.tolist()]
    radii = [covering_radius(everything, everything[ids[:n]]) for n in range(len(labeled), len(ids) + 1)]
    print("radius after 0 … 8 picks:", " ".join(f"{r:.3f}" for r in radii))

# %% [markdown] tags=["exercise-text"]
# ### Exercise 3 — one step
#
# *About 5 minutes, easy.*
#
# **Predict first**: is the point that is farthest from the *mean* of all centres always the right one?
#
# <details><summary>Hint</summary>
#
# It is the point at which the covering radius is reached: `argmax` instead of `max`.
#
# </details>
#
# <details><summary>Answer to the prediction</summary>
#
# No: it may lie right beside one of the centres, far from their mean.
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
akd.course.check("03.farthest", farthest)

# %%
if akd.course.solved("03.farthest"):  # your function, beside the first pick by hand
    print("yours:", farthest(everything, everything[labeled]), "by hand:", first)

# %% [markdown]
# ## Two spaces: PCoreSet and CoreSet
#
# Coverage of *what*? An image has two descriptions: its **features**, what the network sees before its last layer, and
# its **probabilities**, what the network says. Greedy k-center on features is **CoreSet**. Its own paper measures
# Euclidean distance; the ActiveKD paper's code, which we follow, takes the cosine (between features of length 1 both
# give the same order). On probabilities, with the plain distance, it is **PCoreSet**, the ActiveKD paper's selector. It
# stays away from images about which the student says what it said about a labelled one, however different they look.

# %% [markdown] tags=["exercise-text"]
# ### Exercise 4 — PCoreSet from parts
#
# *About 20 minutes, hard.*
#
# A selector sees a `view` of the pool: `view.ids` (N,), `view.probabilities` (N, C), and `view.labeled_probabilities`
# (L, C). (The library's selectors also take a `generator`, for those that draw; k-center draws nothing.) Put your steps together. **Predict first**: what goes wrong if you take the `budget` farthest points at once?
#
# <details><summary>Hint</summary>
#
# Keep `centers`. In each step take the farthest point, and `torch.cat` its row to the centres. At the end,
# turn positions into ids.
#
# </details>
#
# <details><summary>Answer to the prediction</summary>
#
# Far points are often neighbours of one another. The first of them covers the rest, and their labels are wasted.
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
akd.course.check("03.pcoreset", pcoreset)

# %% [markdown]
# ## All classes, four selectors
#
# Now the whole task, in its first round: one label a class. Each selector picks `budget` images. We measure what the
# picks cover, in both spaces, how unsure the student was about them, and, with the labels that were bought, how many
# classes they show. A smaller radius is better coverage.
#
# **Predict first**: which selector has the smallest radius between probabilities, which between features?

# %%
names = ("pcoreset", "coreset", "entropy", "random")
covers = akd.widgets.Predict("03.covers", "Whose picks leave the smallest radius between features?", names)
covers

# %%
shows = akd.widgets.Predict("03.shows", "Whose picks show the most classes?", names)
shows

# %%
active = akd.active.ActiveRun(akd.prepare(config))
print(f"{next(iter(active)).labels} labels, budget {active.budget}")
view = active.view
chosen = {name: akd.select(name, view, active.budget, generator=torch.Generator().manual_seed(seed)) for name in names}

# %%
pool, rows = active.prepared.task.train, []
for ids in chosen.values():
    at = torch.searchsorted(view.ids, ids)  # ids are sorted
    p, f = (torch.cat(pair) for pair in ((view.labeled_probabilities, view.probabilities[at]),
                                         (view.labeled_features, view.features[at])))  # fmt: skip
    in_p = akd.active.coverage.covering_radius(view.probabilities, p)
    in_f = akd.active.coverage.covering_radius(view.features, f, metric="cosine")
    doubt = torch.special.entr(view.probabilities[at]).sum(1).mean()
    rows.append([in_p, in_f, float(doubt), len(pool.labels[ids].unique())])
columns = ["radius, probabilities", "radius, features (cosine)", "mean entropy of the picks", "classes among the picks"]
table = pd.DataFrame(rows, index=list(chosen), columns=columns)
table.round(3)

# %%
if akd.course.solved("03.pcoreset"):  # your function, on this pool
    at = torch.searchsorted(view.ids, torch.as_tensor(pcoreset(view, active.budget)))
    centers = torch.cat([view.labeled_probabilities, view.probabilities[at]])
    print(f"your picks: radius {akd.active.coverage.covering_radius(view.probabilities, centers):.3f}")

# %%
print("smallest radius between probabilities:", table[columns[0]].idxmin())
print(covers.reveal(table[columns[1]].idxmin()))
shows.reveal(table[columns[3]].idxmax(), "The first, if several show as many.")

# %% [markdown]
# PCoreSet and CoreSet win in what they look for. Then read the row of *random*, which looks for nothing, and hold `entropy`
# against it in both spaces: to be alike in what the student says is not to be alike in what it sees. Hold *coreset* against
# `entropy`, too: it never asks how sure the student is, and yet its picks come close in entropy. What lies far out in
# features is often what the student cannot place, and it need not show many classes. And why are PCoreSet's picks about as
# unsure as random ones? The points that lie farthest apart in the simplex are its corners, and a corner is a certain answer: to
# cover the simplex is to go to the corners as well as to the middle.
#
# *In short.* Each selector is best at what it measures. Only the row of *random* shows how much that is.
#
# ## The paper's argument: the teacher's clusters
#
# Why cover *probabilities*? The ActiveKD paper argues in three steps. The teacher's rows lie in clusters (`01_teacher`
# measures them). A student that is distilled takes them over. So a cover of the *student's* simplex visits the *teacher's*
# clusters, one after the other. Each step can be checked. Here is the last: cut the teacher's rows into clusters, and count two
# things over several seeds: how many clusters a selector's picks *hit*, and how many hold any label *before* and *after* them.

# %%
hits = akd.widgets.Predict("03.hits", "Whose picks hit the most of the teacher's clusters?", names)
hits

# %%
hit, held, rows_of = {}, {}, active.prepared.teacher_probabilities.cpu()
choices = sorted({max(2, rows_of.shape[1] * k // 4) for k in range(1, 9)})  # as in 01_teacher
count = bias.choose_count(rows_of, choices, seed=seed)
for k in range(seed, seed + seeds):
    begun = active if k == seed else akd.active.ActiveRun(akd.prepare(config.with_(seed=k)))
    if k != seed:
        next(iter(begun))
    cluster = bias.find_clusters(begun.prepared.teacher_probabilities.cpu(), count, seed=k).assignment  # (all images,)
    begin = begun.view.labeled_ids.cpu()
    held.setdefault("before any pick", []).append(len(cluster[begin].unique()))
    for name in names:
        ids = akd.select(name, begun.view, begun.budget, generator=torch.Generator().manual_seed(k)).cpu()
        hit.setdefault(name, []).append(len(cluster[ids].unique()))
        held.setdefault(f"after {name}", []).append(len(cluster[torch.cat([begin, ids])].unique()))

# %%
for name, several in hit.items():
    mean, low, high, _ = stats.mean_interval(several)
    print(f"{name:9} hits {mean:.1f} of {count} clusters (95%: {low:.1f} to {high:.1f}; by seed: {several})")
for name in names[1:]:
    leads = [a - b for a, b in zip(hit["pcoreset"], hit[name], strict=True)]
    print(f"clusters hit, pcoreset less {name:8} {interval_text(leads)}")
print(f"clusters of {count} with a label:", ", ".join(f"{name} {sum(n) / len(n):.1f}" for name, n in held.items()))
totals = {name: sum(several) for name, several in hit.items()}
hits.reveal(max(totals, key=totals.get))

# %% [markdown]
# *random* is the row to beat: it visits a cluster as often as the cluster is large, and many picks reach most of them by
# themselves. (With three seeds the interval against it was ten clusters wide; for its width, not for its answer, we took
# eight.) Now read the last line. One label a class lies in nearly every cluster *before the first pick*, so none waits for a
# label here, whoever picks. The hits say less than the paper's argument: how widely the *next* labels are spread over the
# clusters. Whether that makes a better *student* takes rounds and seeds to answer: `04_activekd` does.
#
# *In short.* PCoreSet spreads its picks over the teacher's clusters more widely than the others. The first labels had reached
# nearly all of them already.
#
# ## Play
#
# Every dot is an image, placed by the student's probabilities. Change the selector and the budget, and read the
# sentence beside the map. (Its radius counts all images, the table's those of the pool, so the last digit may differ.)
# **Predict first**: where on the wheel will `entropy` pick, and where `coreset`?

# %%
output = active.prepared.predict(active.student)[0]
features = output.features.numpy()
explorer = akd.widgets.SelectionExplorer(active.prepared.task, active.result(), features=features, budget=config.budget)
explorer

# %%
surest = view.probabilities.max(1).values
place = torch.from_numpy(explorer.projection.positions(view.probabilities.numpy())).norm(
    dim=1
)  # 0: the middle, 1: the rim
for name, ids in {"the pool": view.ids, **chosen}.items():
    at = torch.searchsorted(view.ids, ids)
    print(f"{name:9} distance from the middle {place[at].mean():.2f}, largest probability {surest[at].mean():.2f}")
torn = ((place > 0.8) & (surest < 0.4)).double().mean()
print(f"beyond 0.8, and yet with a largest probability below 0.4: {torn:.0%} of the pool")

# %% [markdown]
# (Means.) `entropy` goes to the middle, as it must: where many classes far apart are possible. See who else does, and who goes
# where the pool is. Near the rim is not yet certain: classes that are often confused are neighbours on the wheel, and the
# last line counts the answers that lie far out, torn between neighbours.
#
# ## Pick it yourself
#
# Now *you* are the selector. Five classes, one label each, and eight more to spend. Look at the map: which eight would
# teach the student most? When you press *Train*, your eight, PCoreSet's, entropy's and five random draws go to students
# that start from the same weights, one after the other. **Predict first**:

# %%
most = akd.widgets.Predict("03.most", "Whose eight bring the most?", ["you", "pcoreset", "entropy", "random"])
most

# %%
options = {"num_classes": 5, "pool_size": 150, "test_per_class": 100}
five = akd.active.ActiveRun(akd.prepare(config.with_(task="shapes", task_options=options, budget=8)))
print(f"accuracy with five labels: {next(iter(five)).accuracy:.1%}")
game = akd.widgets.PickYourself(five, budget=8)
game

# %% [markdown]
# If you have not pressed *Train*, the next cell does, and fills up your picks with the images that the student is least
# sure about; then it waits. Without a pick of your own those are entropy's eight, and "you" and *entropy* come out alike.

# %%
if game.worker.status == "ready":
    game.pick([*game.picks, *(i for i in game.free if i not in game.picks)][:8])
    game.worker.run()
game.worker.join()
print(game.takeaway())

# %%
gained = pd.DataFrame(game.worker.records[1:]).groupby("who")["accuracy"].mean()
most.reveal(gained.idxmax(), "Random counts as the mean of its draws.")

# %% [markdown]
# "Without new labels" is not the accuracy printed above the game, though the labels are the same: in the game every student is
# trained once more, from one start and in one order of images. The gap between the two numbers is what a training's own luck
# is worth here; read the gains against it.
#
# Play again: change your picks and press *Train*; only your student is trained anew. Can you beat all five random draws?
# Can you beat PCoreSet, and does it take a smaller covering radius to do so? One student each is an anecdote, as one hand
# of cards is: `04_activekd` plays many.

# %% [markdown]
# ## Paper, code, and here
#
# | | published (paper, abstract or repository) | the released code does | here |
# |---|---|---|---|
# | CoreSet's distance | Euclidean in CoreSet's own paper | cosine of features | cosine |
# | BADGE | k-means++ on gradients, the first pick the longest | gradients of length 1, farthest first: the first pick is arbitrary | both, by `protocol` |
# | PCoreSet | greedy k-center on probabilities | the same | the same ids as theirs on equal inputs |
#
# **Open problem.** Greedy k-center is within a factor 2 of the best cover. Is there a bound on the *student's
# accuracy* in terms of the radius between probabilities? CoreSet's paper proves one on the *loss*, in terms of the radius
# between images (its selector then puts features in their place), for a student without any loss on its labels.
#
# **Read on.** [ActiveKD](https://arxiv.org/abs/2506.00910); [CoreSet](https://arxiv.org/abs/1708.00489);
# [BADGE](https://arxiv.org/abs/1906.03671). Words, symbols and all figures: [GLOSSARY](GLOSSARY.md).

# %% [markdown]
# ## What we learned
#
# 1. Entropy is large in the middle of the simplex; the most uncertain answers are alike, the images need not be.
# 2. Greedy k-center labels the worst covered image, again and again; within a round the covering radius never rises.
# 3. PCoreSet is greedy k-center on the student's probabilities, CoreSet on its features.
# 4. A selector is good at what it measures: compare coverage in both spaces, and ask what a student makes of it.
#
# **Next.** `04_activekd` runs the loop with each selector over several seeds. Before you go there: which one do you
# expect to win with few labels, and which with many?

# %%
notebooks.finish(parameters, {"coverage": dict(zip(chosen, rows, strict=True)), "columns": columns, "clusters": hit})
