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
# **Time and memory**: on 2 quiet CPU cores the cells take 13 s once images and features are cached, longer the first
# time, and 1.2 GB; the last cell prints yours.

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
# The student has one **backbone** and two **heads** on its features. Without a GPU the pretrained backbone is frozen;
# what trains is one layer on top of it (linear, then ReLU), which both heads share, and the heads. The *CE head*
# answers to the labels (CE is cross-entropy). The *KD head* answers to the teacher (KD is knowledge distillation): it
# should give the teacher's whole probability vector, softened by a **temperature** T. With a share λ between the two,
# and the teacher asked about labelled and unlabelled images alike,
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

# %% [markdown] tags=["exercise-text"]
# ### Exercise 1 — the distillation loss
#
# Write KD for a batch: T² times the mean over images of KL(softmax(t/T) ‖ softmax(s/T)). **Predict first**: what is it
# when the student's logits are the teacher's plus 5 in every class?
#
# <details><summary>Hint</summary>
#
# KL(p ‖ q) sums p · (log p − log q) over classes. `(x / T).log_softmax(1)` gives the logarithms without underflow.
#
# </details>


# %% tags=["exercise"]
def distillation_loss(student_logits, teacher_logits, temperature):
    """Return T² · KL(softmax(teacher / T) ‖ softmax(student / T)), a scalar: the mean over (B, C) logits' rows."""
    ### BEGIN SOLUTION
    log_p = (teacher_logits / temperature).log_softmax(1)
    log_q = (student_logits / temperature).log_softmax(1)
    return temperature**2 * (log_p.exp() * (log_p - log_q)).sum(1).mean()
    ### END SOLUTION


# %%
akd.checks.check("02.distillation_loss", distillation_loss)

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
# of its own, and the shared layer can serve both.

# %% [markdown] tags=["exercise-text"]
# ### Exercise 2 — the cosine
#
# Write the number that the figure shows. The gradients come as two lists of tensors, one tensor a layer. **Predict
# first**: does it matter how large the two losses are?
#
# <details><summary>Hint</summary>
#
# Flatten each list into one long vector with `torch.cat`. The cosine is a · b / (‖a‖ ‖b‖).
#
# </details>


# %% tags=["exercise"]
import torch


def cosine(first, second):
    """Return the cosine, in [-1, 1], between two gradients given as lists of tensors of equal shapes."""
    ### BEGIN SOLUTION
    a = torch.cat([part.flatten() for part in first])
    b = torch.cat([part.flatten() for part in second])
    return float(a @ b / (a.norm() * b.norm()))
    ### END SOLUTION


# %%
akd.checks.check("02.cosine", cosine)

# %% [markdown]
# ## The mix
#
# The student's answer is `ce_weight` times the CE head plus the rest times the KD head, whose logits are divided by
# `kd_temperature` first. ActiveKD has no labels to spare and stays at ½ and 1. The DHO paper chooses on validation
# images. We cut the test images in halves: choose on one, measure on the other. **Predict first**: which of the two
# heads deserves the larger weight?

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

# %% [markdown] tags=["exercise-text"]
# ### Exercise 3 — mix two heads
#
# Write the student's answer. **Predict first**: a KD temperature above 1 makes that head's probabilities flatter; can
# it change which class *that head* puts on top?
#
# <details><summary>Hint</summary>
#
# Mix probabilities, not logits: softmax each head first. Only the KD head's logits are divided.
#
# </details>


# %% tags=["exercise"]
def mix(ce_logits, kd_logits, ce_weight, kd_temperature):
    """Return the mixed (N, C) probabilities of two heads' (N, C) logits."""
    ### BEGIN SOLUTION
    label_head = ce_logits.softmax(1)
    teacher_head = (kd_logits / kd_temperature).softmax(1)
    return ce_weight * label_head + (1 - ce_weight) * teacher_head
    ### END SOLUTION


# %%
akd.checks.check("02.mix", mix)

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
