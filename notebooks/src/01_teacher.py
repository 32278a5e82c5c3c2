# %% [markdown]
# # The teacher
#
# <!-- badges: Colab and Binder -->
#
# **Question.** A model that never saw one of your labels names your images. How does it do that, how sure is it, and
# in which patterns does it go wrong?
#
# **After this notebook you can**
#
# 1. build a classifier from sentences, and compute its answer by hand,
# 2. turn logits into probabilities, and say what a temperature changes and what it cannot change,
# 3. average several wordings, and measure how much the wording matters,
# 4. read the probability simplex, and measure **structured prediction bias** against controls,
# 5. say whether a student inherits that bias, and from whom.
#
# **You need** the quickstart (`00_quickstart`), vectors and their dot product. No GPU, no network.
#
# **Time and memory**: on 2 quiet CPU cores the cells take 10 s once images and features are cached, longer the first
# time, and 1.2 GB; the last cell prints yours.

# %%
import torch

import activekd_lab as akd
from activekd_lab import bias, notebooks
from activekd_lab.data.prompts import build_prompts
from activekd_lab.rng import generator

notebooks.start()

# %% [markdown]
# ## Settings

# %% tags=["parameters"]
profile: str = "quick"  # smoke | quick | paper; smoke and paper set the length of training themselves
task: str = "shapes"  # which images, see `activekd-lab tasks`
teacher: str = "bundled"  # who answers: "bundled", "RN50/openai", "local-dir:…"
clusters: int = 0  # groups to look for; 0 chooses their number by silhouette
seed: int = 0  # derives every random step

# %%
parameters = notebooks.read_parameters(globals(), also=("clusters",))
config = parameters.config.with_(rounds=0)
data = akd.load_task(config.task, **config.task_options)
model = akd.load_teacher(config.teacher)
print(f"profile {parameters.profile}: {task}, {data.num_classes} classes, teacher {teacher}")

# %% [markdown]
# ## A classifier made of sentences
#
# CLIP has two **towers**, one for images and one for sentences. Each turns its input into an **embedding**, a vector of
# length 1. Both were trained together so that an image and its caption point in the same direction. A sentence about
# each class, a **prompt**, therefore gives a vector a class, and the classifier is complete: no image was labelled.

# %%
prompts = build_prompts(data.class_names, data.templates)[0]
text = model.encode_text(prompts)  # (C, D)
images = model.encode(data.test)  # (N, D)
print(f"text {tuple(text.shape)}, images {tuple(images.shape)}; first prompt: {prompts[0]!r}")
cosines = images @ text.T  # (N, C)
for c in cosines[0].topk(3).indices.tolist():
    print(f"first image and {prompts[c]!r}: cosine {cosines[0, c]:.3f}")
print(f"its true class: {data.class_names[data.test.labels[0]]}")

# %% [markdown]
# A **cosine** of 1 means the same direction. The answer is the class with the largest one. `zero_shot` does the same
# and multiplies by a **scale** that CLIP learned; the result is called **logits**.

# %%
head = model.zero_shot(data)
logits = head.logits(images)  # (N, C)
answers = logits.argmax(1)
same = torch.allclose(logits, head.scale * cosines, atol=1e-4)
print(f"scale {head.scale:.2f}; logits are the scaled cosines: {same}")
print(f"right on {float((answers == data.test.labels).float().mean()):.1%} of {len(answers)} test images")

# %% [markdown]
# ## From logits to probabilities
#
# Logits become probabilities by the **softmax** with a **temperature** T:
#
# $$ p_c = \frac{\exp(z_c / T)}{\sum_j \exp(z_j / T)} $$
#
# The **confidence** of an answer is its probability. A model is **calibrated** when it is right as often as it is
# confident. The **calibration error** (ECE) measures that: sort images into bins of similar confidence; ECE is the mean
# distance of accuracy and confidence over the bins, weighted by their images.
#
# **Predict first**: raise T from 1 to 2. What happens to accuracy, to confidence? And is this teacher, at T = 1, too
# sure of itself or not sure enough?

# %%
print("   T  accuracy  mean confidence  calibration error")
for temperature in (0.25, 0.5, 1.0, 2.0, 4.0):
    p = (logits / temperature).softmax(1)
    accuracy = (p.argmax(1) == data.test.labels).float().mean()
    error = bias.calibration(p, data.test.labels).ece
    print(f"{temperature:4}  {accuracy:8.1%}  {p.max(1).values.mean():15.1%}  {error:17.3f}")

# %% [markdown]
# Confidence below accuracy: not sure enough; above: too sure. No temperature changes the order within a row, so
# accuracy stays. What changes is how much the teacher says about the other classes, and that is what a student learns
# from: at a low temperature it hears one name, at a high one it hears almost nothing.

# %% [markdown] tags=["exercise-text"]
# ### Exercise 1 — softmax with a temperature
#
# Write the formula above. It should also survive logits of 1,000, whose exponential is too large for a computer.
# **Predict first**: what does a row become when T is very large, and what when it is close to 0?
#
# <details><summary>Hint</summary>
#
# Subtracting the same number from all logits of a row changes no probability. Which number keeps `exp` small?
# `values.amax(1, keepdim=True)` is the largest of each row.
#
# </details>


# %% tags=["exercise"]
def softmax(logits, temperature):
    """Return (N, C) probabilities of (N, C) logits, divided by the temperature first."""
    ### BEGIN SOLUTION
    scaled = logits / temperature
    powers = (scaled - scaled.amax(1, keepdim=True)).exp()
    return powers / powers.sum(1, keepdim=True)
    ### END SOLUTION


# %%
akd.checks.check("01.softmax", softmax)

# %% [markdown]
# ## The simplex
#
# A probability vector is a point. All of them together form the **simplex**: for three classes a triangle, whose
# corners are certain answers. Here are the test images of the first three classes, and the teacher's answer among
# those three.
#
# **Predict first**: where do the points go when the temperature rises? Then move the slider.

# %%
three = data.test.labels < 3
akd.plots.simplex(logits[three][:, :3].numpy(), data.test.labels[three].numpy(), data.class_names[:3])

# %% [markdown]
# Note where the mistakes lie: not anywhere, but along the edges between classes that look alike.
#
# ## Words
#
# The class names are given, the rest of the sentence is yours. An **ensemble** uses several wordings: embed each,
# average a class's vectors, and bring the mean back to length 1.
#
# **Predict first**: which of these wordings is best, and does the ensemble of all beat it?

# %%
wordings = [*data.templates, "{}", "a drawing of a {}.", "the number {}.", "a bad photo of the {}.", "art of the {}."]
accuracy = {}
for name, templates in [*((w, [w]) for w in wordings), ("all of them", wordings)]:
    found = model.zero_shot(data, templates).logits(images).argmax(1)
    accuracy[name] = float((found == data.test.labels).float().mean())
    print(f"{name:28} {accuracy[name]:.1%}")
margin = 1.96 * (accuracy["all of them"] * (1 - accuracy["all of them"]) / len(images)) ** 0.5
print(f"with {len(images)} test images, each number is known to about ± {margin:.1%}")

# %% [markdown]
# Be careful with a winner: to know which wording is best you need labels, and most differences here are within the
# uncertainty. An ensemble needs no choice, which is its main advantage. (On ImageNet and with a large CLIP it also
# gains a few points.)

# %% [markdown] tags=["exercise-text"]
# ### Exercise 2 — a prompt ensemble
#
# The text tower gives vectors of any length. Make each of them length 1, average those of a class over the wordings,
# and make the mean length 1 again. **Predict first**: what would go wrong without the first step, if one wording gave
# vectors ten times as long as the others?
#
# <details><summary>Hint</summary>
#
# `x / x.norm(dim=-1, keepdim=True)` has length 1 along the last dimension. The wordings are dimension 0.
#
# </details>


# %% tags=["exercise"]
def ensemble(raw):
    """Return (C, D) class vectors of length 1 from (P, C, D) text embeddings of any length, P wordings a class."""
    ### BEGIN SOLUTION
    unit = raw / raw.norm(dim=2, keepdim=True)
    mean = unit.mean(0)
    return mean / mean.norm(dim=1, keepdim=True)
    ### END SOLUTION


# %%
akd.checks.check("01.ensemble", ensemble)

# %% [markdown]
# ## Structured prediction bias
#
# Back to the mistakes. Rows are true classes, columns the teacher's answers, and confusable classes stand side by side.
# **Predict first**: if the mistakes were spread evenly, what would the picture look like?

# %%
akd.plots.confusion_groups(logits.softmax(1).numpy(), data.test.labels.numpy(), data.class_names)

# %% [markdown]
# Look for blocks on the diagonal: groups of classes that are taken for each other, and for nothing else. In the simplex
# they mean that the points do not fill the space; they lie in **clusters**, each in a region between a few corners. The
# ActiveKD paper calls that structured prediction bias. We look for K clusters with k-means among the pool's
# predictions. With no K given, we take the one with the highest *silhouette*, a score of how far clusters lie apart.

# %%
pool = model.encode(data.train)
predictions = head.probabilities(pool)  # (N, C)
choices = sorted({max(2, data.num_classes * k // 4) for k in range(1, 9)})
K = clusters or bias.choose_count(predictions, choices, seed=seed)
found = bias.find_clusters(predictions, K, seed=seed)
for group in bias.confusion_groups(found, data.class_names)[:5]:
    print(f"{group.mass:5.1%} of the pool:", ", ".join(f"{name} {p:.0%}" for name, p in group.classes))

# %% [markdown]
# Are those real clusters? k-means finds K groups in anything. So give each cluster a ball: its **centre** is the mean
# of its points, its **radius** half the distance to the nearest other centre. Balls never overlap; the **share inside**
# is high only if points really crowd around the centres. And compare with two controls:
#
# - *shuffled*: in each row the classes change places. Just as sure, but no class keeps company with another.
# - *features*: K clusters of the image embeddings, before any sentence was involved.
#
# **Predict first**: order the three.

# %%
shuffled = bias.shuffle_classes(predictions, generator=generator(seed, "shuffle"))
share = {}
for name, points in {"teacher": predictions, "shuffled": shuffled, "features": pool}.items():
    share[name] = bias.find_clusters(points, K, seed=seed).mass_within_radius
    print(f"{name:9} {share[name]:.1%} of the points inside the balls of {K} clusters")

# %% [markdown]
# If the teacher is far above both, its errors have a structure of their own. If *shuffled* is as high, as it can be
# with few classes, the clusters only say that the teacher is sure of itself: near a corner everything is a cluster.

# %% [markdown] tags=["exercise-text"]
# ### Exercise 3 — the share inside
#
# Compute that number from points, centres, and the cluster of each point. **Predict first**: if you drew balls twice as
# large, which of the three numbers above would change most?
#
# <details><summary>Hint</summary>
#
# `centers[:, None] - centers` holds all differences, (K, K, C). The distances have zeros on their diagonal, but a
# centre is not its own neighbour: `.fill_diagonal_(float("inf"))`. The radius is *half* of the smallest in a row.
#
# </details>


# %% tags=["exercise"]
def share_inside(points, centers, assignment):
    """Return the share of (N, C) points within the radius of their own (K, C) centre; assignment is (N,) in 0 … K-1."""
    ### BEGIN SOLUTION
    gaps = (centers[:, None] - centers).norm(dim=2).fill_diagonal_(float("inf"))
    radii = gaps.amin(1) / 2
    distances = (points - centers[assignment]).norm(dim=1)
    return float((distances <= radii[assignment]).double().mean())
    ### END SOLUTION


# %%
akd.checks.check("01.share_inside", share_inside)

# %% [markdown]
# ## Who inherits it?
#
# Now two students, one labelled image a class each. One learns from the labels alone, the other also from the teacher
# (DHO). We cluster each student's predictions, and compare with the teacher's clusters by the **adjusted Rand index**:
# 1 means the same groups of images, 0 what chance would give.
#
# **Predict first**: both see the same images, so they may group them alike without any teacher. How far apart are the
# two numbers?

# %%
students, agreement = {}, {}
for name, method in (("labels only", "ce"), ("DHO", "dho")):
    active = akd.ActiveRun(config.with_(method=method))
    record = next(iter(active))
    students[name] = active.prepared.predict(active.student)[0].probabilities()
    own = bias.find_clusters(students[name], K, seed=seed)
    agreement[name] = bias.agreement(own.assignment, found.assignment)[0]
    print(f"{name:11} accuracy {record.accuracy:.1%}, adjusted Rand index with the teacher {agreement[name]:.2f}")

# %% [markdown]
# The student that listened to the teacher groups the pool as the teacher does. PCoreSet builds on this: it spreads its
# labels over the student's probability space, and so over the groups that the teacher passed on.
#
# Move the teacher's temperature, its prompt and the number of clusters, and read the sentence beside the maps. Colours
# are the teacher's clusters on both sides. **Predict first**: at a very low temperature, what becomes of the teacher's
# clusters? And does the student, which stays as it was, still agree?

# %%
by_prompt = {w: model.zero_shot(data, [w]).logits(pool).numpy() for w in wordings[:3]}
by_prompt["all of them"] = model.zero_shot(data, wordings).logits(pool).numpy()
student = students["DHO"].numpy()
explorer = akd.widgets.BiasExplorer(by_prompt, student, data.class_names, count=min(K, 30), seed=seed)
explorer

# %% [markdown]
# ## What we learned
#
# 1. Image and sentence become vectors; the answer is the sentence with the largest cosine.
# 2. A temperature changes how sure a teacher sounds, and what it tells about the other classes, but never its answer.
# 3. An ensemble normalises, averages and normalises again; which wording is best cannot be known without labels.
# 4. Predictions are points of the simplex; whether they cluster is a question for controls, not for the eye.
# 5. A distilled student takes over the teacher's groups; one trained on labels alone does so far less.
#
# **Next.** Set `task = "digits"`: is the structure still there once you compare with *shuffled*? Then `02_student`
# shows what happens when the teacher's word and a label disagree.

# %%
findings = {"clusters": K, "share_inside": share, "agreement": agreement, "accuracy": accuracy}
notebooks.finish(parameters, findings)
