# %% [markdown]
# # Why two heads
#
# <!-- badges: Colab and Binder -->
#
# **Question.** A student learns from a few labels, which are right, and from a teacher, who is often wrong. What
# happens where the two disagree, and what does a second head change?
#
# **After this notebook you can**
#
# 1. write down the DHO loss, and compute it by hand,
# 2. say what labels, teacher, one head and two heads bring at the same number of labels,
# 3. measure whether two losses pull the same weights apart,
# 4. mix two heads, and say what the mix costs.
#
# **You need** the quickstart (`00_quickstart`): teacher, student, labels. No GPU, no network.
#
# **Time and memory**: on 2 CPU cores the cells take 15 s once images and features are cached, longer the first time,
# and 1.0 GB; the last cell prints yours.

# %%
import torch

import activekd_lab as akd
from activekd_lab import notebooks
from activekd_lab.bench import students
from activekd_lab.losses import dho_loss
from activekd_lab.student import StudentOutput

notebooks.start()

# %% [markdown]
# ## Settings

# %% tags=["parameters"]
profile: str = "quick"  # smoke | quick | paper; smoke and paper set the length of training themselves
task: str = "digits"  # which images, see `activekd-lab tasks`
shots: int = 4  # labelled images a class
seeds: int = 3  # trainings of each kind
seed: int = 0  # of the single training at the end

# %%
parameters = notebooks.read_parameters(globals(), also=("shots", "seeds"))
config = parameters.config.with_(rounds=0, initial_per_class=shots)
print(f"profile {parameters.profile}: {task}, {shots} labels a class, {seeds} seeds")

# %% [markdown]
# ## The loss
#
# The student has one **backbone** and two **heads** on its features. The *CE head* answers to the labels (CE is
# cross-entropy). The *KD head* answers to the teacher (KD is knowledge distillation): it should give the teacher's
# whole probability vector, softened by a **temperature** T. With a share λ between the two, and the teacher asked about
# labelled and unlabelled images alike,
#
# $$ L = \lambda\,\mathrm{CE} + (1-\lambda)\,[\mathrm{KD}_{labelled} + \mathrm{KD}_{unlabelled}], \qquad
# \mathrm{KD} = T^2\,\mathrm{KL}(\mathrm{softmax}(t/T)\,\|\,\mathrm{softmax}(s/T)) $$
#
# One labelled and one unlabelled image, two classes. **Predict first**: the CE head is undecided, the KD head agrees
# with the teacher exactly. Which of the three parts are zero, and what is the total for λ = 0.5?

# %%
teacher = torch.tensor([[2.0, 0.0]])
undecided = torch.tensor([[0.0, 0.0]])
output = StudentOutput(ce_logits=undecided, kd_logits=teacher, features=torch.zeros(1, 1))
loss = dho_loss(output, torch.tensor([0]), teacher, output, teacher, temperature=2.0, ce_share=0.5)
print({name: round(float(value), 4) for name, value in loss._asdict().items()})
print("by hand: 0.5 · ln 2 =", round(0.5 * float(torch.tensor(2.0).log()), 4))

# %% [markdown]
# Now with **one** head for both: it is undecided, so it disagrees with the teacher too. By hand, for T = 2: the teacher
# softened is softmax(1, 0), and KL is measured from there to (½, ½).

# %%
single = StudentOutput(undecided, undecided, torch.zeros(1, 1))
found = dho_loss(single, torch.tensor([0]), teacher, single, teacher, temperature=2.0, ce_share=0.5)
p = torch.tensor([1.0, 0.0]).softmax(0)
by_hand = 4 * float((p * (p / 0.5).log()).sum())
print(f"KD from the library {float(found.kd_labeled):.4f}, by hand {by_hand:.4f}")

# %% [markdown]
# ## Four students
#
# *ce* learns from labels only, *kd* from the teacher only, *single_head* from both on one head, *dho* on two heads
# whose answers are averaged. Same labels, same number of steps. **Predict first**: in which order do they finish?

# %%
your_order = ("dho", "single_head", "kd", "ce")  # best first; replace it

# %%
length = {"steps": config.steps, "epochs": config.epochs, "task_options": config.task_options}
length = {name: value for name, value in length.items() if value}
measured = students.measure(task, shots=(shots,), seeds=seeds, **length)
table = students.accuracy_table(measured)
print(table.title)
for method, accuracy in table.rows:
    print(f"{method:12} {accuracy}")
print("you said:", " > ".join(your_order))

# %% [markdown]
# Run it again with `task = "shapes"`: there the order is another one. Which of the two heads is to blame, and could a
# better mix help? We come back to that.
#
# ## Do the losses pull apart?
#
# Each loss has a gradient with respect to the weights that both share. The **cosine** between the two gradients says
# how they get along: 1, they want the same; 0, they do not care about each other; −1, what helps one harms the other.
# **Predict first**: one head or two, which has the lower cosine?

# %%
curves = {name: next(s for s in measured if s.method == name) for name in ("single_head", "dho")}
cosines = {"one head": curves["single_head"].cosines, "two heads": curves["dho"].cosines}
akd.plots.gradient_conflict(curves["dho"].steps, cosines)

# %% [markdown]
# On one head, a label and a wrong teacher meet in the same numbers, so one must lose. With two heads each has a place
# of its own, and the backbone can serve both.
#
# ## The mix
#
# The student's answer is `ce_weight` times the CE head plus the rest times the KD head, whose logits are divided by
# `kd_temperature` first. ActiveKD has no labels to spare and stays at ½ and 1. The DHO paper chooses on validation
# images. We cut the test images in halves: choose on one, measure on the other.

# %%
active = akd.ActiveRun(config)
list(active)
test = active.prepared.predict(active.student)[1]
labels = active.prepared.task.test.labels.numpy()
ce, kd = test.ce_logits.numpy(), test.kd_logits.numpy()
explorer = akd.widgets.MixingExplorer(ce[::2], kd[::2], labels[::2])
explorer

# %%
fixed = akd.widgets.MixingExplorer(ce[1::2], kd[1::2], labels[1::2])
print(f"other half, half and half: {fixed.accuracy:.1%}")
fixed.ce_weight, fixed.kd_temperature, _ = explorer.surface.best
print(f"chosen on the first half: weight {fixed.ce_weight}, temperature {fixed.kd_temperature}")
print(f"other half, with that mix: {fixed.accuracy:.1%}")

# %% [markdown]
# The images that chose the mix needed labels. As many labels, given to the student instead, might have brought more;
# `RunConfig(validation_labels=50)` buys them and counts them, so that you can compare.
#
# ## What we learned
#
# 1. The DHO loss is a weighted sum: one part for labels, two for the teacher; each part has its own head.
# 2. At few labels a teacher is worth a lot; what a second head brings depends on teacher and task, so measure it.
# 3. On one head the two gradients come to oppose each other, on two they do not.
# 4. The mix matters, and choosing it costs labels.
#
# **Next.** Set `task = "shapes"` and `shots = 1`. Does the second head still help? Say why, from the cosine and the
# mix.

# %%
notebooks.finish(parameters, {"accuracy": table.rows, "mix": explorer.surface.best, "mixed_accuracy": fixed.accuracy})
