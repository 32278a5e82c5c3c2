# %% [markdown]
# # Better, or lucky?
#
# <!-- badges: Colab and Binder -->
#
# A colleague's favourite selector ended two points above Mira's. Is it better, or did fifty labels fall luckily? Before the trust
# prints a table, both learn to tell.
#
# **Question.** One selector ends two points above another. How do you find out whether it is better, or had a lucky
# seed?
#
# **After this notebook you can**
#
# 1. turn a learning curve into one number, an area or a label cost, and say what it hides,
# 2. compare selectors on equal seeds, and choose a test that can answer with the seeds you have,
# 3. correct for asking several questions at once,
# 4. read mean ranks and a critical difference, and print a table with its provenance.
#
# **You need** the quickstart (`00_quickstart`), and what a mean and a standard deviation are. No GPU, no network.
#
# **Time and memory**: on 2 quiet CPU cores the cells take 30 s, 0.8 GB in the notebook's own process, and up
# to 1.1 GB in each of the two that train beside it. The last cell prints yours.
# Runs are kept in the folder `compare-runs`, so that a second time takes 10 s.

# %% [markdown]
# <!-- diagram: accuracy -->

# %%
from itertools import combinations
from pathlib import Path

import numpy as np
from IPython.display import Markdown
from scipy.stats import ttest_rel

import activekd_lab as akd
from activekd_lab import stats
from activekd_lab.compare import comparison, tables, variants
from activekd_lab.course import notebooks
from activekd_lab.runs.stored import load_runs
from activekd_lab.active.parallel import run_all

notebooks.start("accuracy")

# %% [markdown]
# ## Settings
#
# Give `store` a folder of your own runs, from `activekd-lab run` or a sweep, and they are compared instead.

# %% tags=["parameters"]
profile: str = "quick"  # smoke | quick | paper; smoke and paper set rounds and the length of training themselves
store: str = ""  # folder that holds runs at any depth; empty makes a few small ones
tasks: list = ["digits"]  # data sets of the small runs
selectors: list = ["random", "entropy", "coreset", "pcoreset"]  # who competes in them
rounds: int = 4  # query rounds after the initial labels
seeds: int = 5  # runs of each selector
seed: int = 0  # the first of the seeds

# %%
parameters = notebooks.read_parameters(globals(), also=("store", "tasks", "selectors", "seeds"))
used = range(seed, seed + (2 if parameters.profile == "smoke" else seeds))
places = [(task, s, k) for task in tasks for s in selectors for k in used]
configs = [parameters.config.with_(task=task, selector=s, seed=k) for task, s, k in places]
print(f"profile {parameters.profile}: {store or f'{len(configs)} small runs'}")

# %% [markdown]
# ## The runs
#
# Every selector runs with the same seeds. A **seed** decides which images are labelled at the start, how the student's
# weights begin, and in which order images come. So runs of equal seed start alike, whoever selects.

# %%
if store:
    results, left_out = load_runs([Path(store)])
    print(*left_out, sep="\n")
else:
    results = run_all(configs, "compare-runs").results
results = [run for run in results if comparison.finished(run)]
first = results[0].config["task"]
akd.plots.learning_curves([run for run in results if run.config["task"] == first])

# %% [markdown]
# ## One number for a curve
#
# Two numbers are common. The **area** under the learning curve, divided by its width, is the curve's mean height: it
# rewards learning early. The **final** accuracy only looks at the last label count. Both are taken over label counts
# that *all* runs reached, and labels spent on validation count like any other.

# %%
area = comparison.scores(results, "area")
final = comparison.scores(results, "final")
print(area.ranges)
area.frame.head(4).round(3)

# %% [markdown]
# In the table a row is a run, and `score` its number. Two numbers, two orders? **Predict first**:

# %%
same = akd.widgets.Predict("07.same", "Do both put the selectors in the same order?", ["yes", "no"])
same

# %%
by_area, by_final = (s.frame.groupby("variant")["score"].mean().sort_values(ascending=False) for s in (area, final))
print("by area: ", ", ".join(f"{name} {value:.1%}" for name, value in by_area.items()))
print("by final:", ", ".join(f"{name} {value:.1%}" for name, value in by_final.items()))
same.reveal("yes" if list(by_area.index) == list(by_final.index) else "no")

# %% [markdown]
# From here on the *area* counts, since `04_activekd` measured selectors by it before any of these runs. To choose between two
# numbers after seeing what each says would be to choose the answer.

# %% [markdown] tags=["exercise-text"]
# ### Exercise 1 — label cost
#
# *About 15 minutes, medium.*
#
# A third number speaks in money: how many labels until the student is good enough? Between two rounds, take the
# straight line. **Predict first**: a curve has 40% at 10 labels and 60% at 20. At which count does it reach 50%? And
# what should the answer be for 70%?
#
# <details><summary>Hint</summary>
#
# Find the first round at or above the target. If it is round 0, its label count is the answer. Otherwise go back one
# round, and interpolate between the two. `math.inf` says never.
#
# </details>
#
# <details><summary>Answer to the prediction</summary>
#
# 50% at 15 labels, halfway. 70% is never reached on this curve: infinity.
#
# </details>


# %% tags=["exercise"]
import math


def label_cost(labels, accuracy, target):
    """Return the number of labels at which `accuracy`, a list beside `labels`, first reaches `target`."""
    ### BEGIN SOLUTION
    for i, value in enumerate(accuracy):
        if value >= target:
            if i == 0:
                return labels[0]
            share = (target - accuracy[i - 1]) / (value - accuracy[i - 1])
            return labels[i - 1] + share * (labels[i] - labels[i - 1])
    return math.inf
    ### END SOLUTION


# %%
akd.course.check("07.label_cost", label_cost)

# %% [markdown]
# Here is what every selector needs for the accuracy that the best one ends with, less three points. A selector with a
# seed that never gets there has no mean cost (NaN; `reached` counts the seeds that do): to leave that seed out would flatter
# it. A median can bear it: never is more than any number. An interval that began below zero labels would only
# say how little a few seeds know.

# %%
target = float(final.frame.groupby(["dataset", "variant"])["score"].mean().max()) - 0.03
print(f"labels to reach {target:.1%}")
comparison.label_costs(results, target).round(1)

# %%
if akd.course.solved("07.label_cost"):  # your function, seed by seed, where the table has only a mean
    for run, name in zip(results, variants.variants(results), strict=True):
        curve = run.frame()
        cost = label_cost(list(curve.labels), list(curve.accuracy), target)
        print(f"{run.config['task']}, {name}, seed {run.config['seed']}: {cost:.1f}")

# %% [markdown]
# **In short.** A single number makes curves easy to compare, but each number hides something. Choose it before you see the
# curves.
#
# ## A mean and its interval
#
# Five seeds give a mean, and the mean has an error of its own. Student's **95% interval** says how large: of a hundred
# such intervals, about 95 hold the mean that infinitely many seeds would give.

# %%
for (data, name), scores in area.frame.dropna(subset="score").groupby(["dataset", "variant"], sort=False)["score"]:
    interval = stats.mean_interval(100 * scores)
    print(
        f"{data}, {name:12} {interval.mean:.1f}% (95%: {interval.low:.1f} to {interval.high:.1f}), {len(scores)} seeds"
    )

# %% [markdown]
# Papers often print something else: behind the ± of the next table stands **one standard deviation**, which tells how far
# single seeds scatter and does not shrink with more of them. Always say which of the two it is.

# %%
table, *_ = tables.compare(results, "area")
Markdown(table.markdown())

# %% [markdown]
# ## The same seeds: pairs
#
# Intervals that overlap do not mean that nothing differs. A seed with lucky initial labels lifts *every* selector, so
# part of the scatter is shared. Subtract within each seed, and that part is gone. But the rival's own luck comes in:
#
# $$ \mathrm{Var}(a - b) = s_a^2 + s_b^2 - 2 \rho\, s_a s_b, $$
#
# so with equal spreads the differences scatter less than the scores only if the correlation ρ over seeds exceeds ½.
# **Predict first**: which scatters less, the scores of the last selector, or their differences from `random`?

# %%
wide = area.frame[area.frame.dataset == area.frame.dataset[0]].pivot(index="seed", columns="variant", values="score")
base = wide.columns[0] if "random" not in wide else "random"
for name in wide.columns.drop(base):
    sd, gap = 100 * wide[name].std(), 100 * (wide[name] - wide[base]).std()
    rho = wide[name].corr(wide[base])
    print(f"{name:12} sd of its scores {sd:.2f}, of its gaps to {base} {gap:.2f} points, ρ {rho:+.2f}")

# %% [markdown]
# Either way the pairs are right: what is compared is a difference, and its own scatter is the one that counts.
#
# Now a test. The **paired t test** asks whether the mean difference could be chance, if differences are roughly normal.
# **Wilcoxon's test** asks the same of the ranks of the differences, and assumes less. It pays for that: with five
# pairs there are only 2⁵ patterns of signs, and the smallest p value it can ever give is 2/32.

# %%
for pairs in (3, 5, 6, 10, 20):
    print(f"{pairs:3} pairs: Wilcoxon's p is at least {2.0 ** (1 - pairs):.2g}")

# %% [markdown]
# So choose the test *before* you look, by what it can answer. We decide by the t test and print Wilcoxon's beside it.
# The bootstrap interval of the difference assumes no shape either; below five pairs it would be too narrow, so there
# is none. It is of one question alone, so it may leave 0 out where "differs" says "not shown": the columns "p, Holm" and
# "differs" count how many questions are asked; the section on many questions explains them.

# %%
chosen = {"selector": base} if base in set(area.frame.selector) else {"selector": area.frame.selector[0]}
compared = comparison.differences(area, chosen)
Markdown(tables.difference_table(area, chosen).markdown())

# %% [markdown]
# **In short.** Compare two methods on the same seeds, and look at the differences. With few seeds, many real differences cannot
# be shown.
#
# ## How many seeds would tell?
#
# "Not shown" may mean "no difference" or "too few seeds". If the gaps scatter with standard deviation s, a paired t test
# finds a true gap d in 80% of studies with about n = 8 (s/d)² + 2 seeds (8 ≈ (1.96 + 0.84)²; the 2 pays for not knowing
# s). **Predict first**: how many for two points, and how many for half a point?

# %%
for name in wide.columns.drop(base):
    gap = 100 * (wide[name] - wide[base]).std()
    print(f"{name:12}", ", ".join(f"{d} points: {8 * (gap / d) ** 2 + 2:.0f} seeds" for d in (2, 1, 0.5)))

# %% [markdown]
# Half the gap takes four times the seeds (beyond the 2). Where gaps scatter by a point or two, five to ten seeds do for a gap
# of two points, and are hopeless for half a point. (s is itself estimated from few seeds, so these are sizes, not plans to the
# last seed; and Holm's correction asks for more.) Read the papers' tables with this in mind: their released scripts run one seed.
#
# ## Many questions
#
# Three selectors against `random` are three questions. If nothing differs at all, each is answered "yes" wrongly in 5%
# of all studies. The cell after next makes 20,000 studies of five seeds in which four selectors are exactly alike.

# %%
wrong = akd.widgets.Predict(
    "07.wrong", "In what share of them is at least one of the three answers wrong?", (0, 50), within=2, unit=" %"
)
wrong

# %%
made_up = np.random.default_rng(seed).normal(0.5, 0.01, (20_000, 4, 5))  # studies, selectors, seeds
p_values = ttest_rel(made_up[:, 1:], made_up[:, :1], axis=-1).pvalue  # (studies, 3)
any_wrong = (p_values < 0.05).any(axis=1).mean()
corrected = np.array([stats.holm(row) for row in p_values])
any_wrong_holm = (corrected < 0.05).any(axis=1).mean()
for name, wrongly in (("as they come", any_wrong), ("after Holm's correction", any_wrong_holm)):
    margin = 2 * (wrongly * (1 - wrongly) / len(made_up)) ** 0.5  # two standard errors
    print(f"{name:24} at least one wrong yes in {wrongly:.1%} ± {margin:.1%} of the studies")
why = "The three share their random picks; independent answers would give 1 − 0.95³ = 14.3%."
wrong.reveal(100 * any_wrong, why)

# %% [markdown] tags=["exercise-text"]
# ### Exercise 2 — Holm's correction
#
# *About 20 minutes, hard.*
#
# Sort the m p values. Multiply the smallest by m, the next by m − 1, … the last by 1. A corrected value may not be
# smaller than the one before it, nor larger than 1. Give them back in the order in which they came. **Predict
# first**: what become of 0.04, 0.01 and 0.03?
#
# <details><summary>Hint</summary>
#
# `np.argsort` gives the order, `np.maximum.accumulate` keeps a row from falling.
#
# </details>
#
# <details><summary>Answer to the prediction</summary>
#
# 0.01 · 3 = 0.03; 0.03 · 2 = 0.06; 0.04 · 1 = 0.04, raised to 0.06. In the order in which they came: 0.06, 0.03, 0.06.
#
# </details>


# %% tags=["exercise"]
import numpy as np


def holm(p_values):
    """Return Holm's corrected p values of a list, in its order."""
    ### BEGIN SOLUTION
    p = np.asarray(p_values)
    order = np.argsort(p)
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(raised, 1)
    return corrected
    ### END SOLUTION


# %%
akd.course.check("07.holm", holm)

# %%
if akd.course.solved("07.holm"):  # your function, on the prediction, the made-up studies and our comparison
    yours = (np.array([holm(row) for row in p_values]) < 0.05).any(axis=1).mean()
    print(f"0.04, 0.01, 0.03 become {holm([0.04, 0.01, 0.03])}; wrong yes in {yours:.1%} of the studies")
    for name, p, mended in zip(compared.variant, compared.p_t, holm(compared.p_t), strict=True):
        print(f"{name:12} p {p:.3f}, corrected {mended:.3f}{', no longer below 5%' if p < 0.05 <= mended else ''}")

# %% [markdown]
# **In short.** Who asks many questions gets some wrong answers by luck. Holm's correction asks more of each p value, so that all
# answers together are safe.
#
# ## Ranks
#
# Papers often say "first in 64 of 73 settings". A win by a hair counts there as much as a large one, and so does a win
# by luck. **Mean ranks** do a little better: in every block of data set and seed the best selector gets 1, the next 2.
# **Friedman's test** asks whether the mean ranks differ at all. Two selectors are told apart here only if two rules say so:
#
# 1. their mean ranks lie further apart than Nemenyi's **critical difference**, $q \sqrt{k (k + 1) / 6n}$ for k selectors
#    and n blocks (q = 2.57 for k = 4 at 5%); more blocks make it smaller,
# 2. the paired t test from above, with Holm's correction over *all* pairs of selectors, is below 5%.
#
# The usual figure knows the first rule only. Ranks do not see how large a win is, so with a handful of seeds it may tell two
# selectors apart whose scores, by the t test, could be alike. A bar joins those that are *not* told apart.

# %%
joined = akd.widgets.Predict("07.joined", "How many bars will there be?", ["none", "one", "two", "three or more"])
joined

# %%
akd.plots.critical_difference(results)

# %%
order = comparison.ranks(area)
told = 0
print(f"critical difference {order.critical:.2f} ranks, from {order.blocks} blocks")
for i, j in combinations(range(len(order.names)), 2):
    if (gap := order.ranks[j] - order.ranks[i]) > order.critical:
        alike = any(first <= i and j <= last for first, last in order.cliques)
        verdict = "joined all the same, by the t test" if alike else "told apart by both rules"
        told += not alike
        tested = f"p {order.p_pairs[i, j]:.3f} as it comes, {order.p_holm[i, j]:.3f} after Holm over all pairs"
        print(f"{order.names[i]} and {order.names[j]}: {gap:.2f} ranks, {tested}: {verdict}")
some = "some differ" if order.p_value < 0.05 else "not shown that any differ"
print(f"Friedman's p {order.p_value:.3f}: {some}; pairs told apart: {told or 'none'}")
print(joined.reveal(joined.options[min(3, len(order.cliques))]))
won = comparison.wins(area)
print("\n".join(f"{name} is first in {k} of {n} data sets, by mean area" for name, k, n in won.itertuples(index=False)))

# %% [markdown]
# Friedman's test asks one question of all selectors together, whether *some* differ. Which ones, takes a question a pair, and
# each of those must pay for their number; so it may say yes where no pair is told apart.
#
# The blocks here are seeds of a few data sets, and of one set of test images each. They say what holds on *these* data sets;
# for a claim about data sets in general, the data sets are what you need many of. And seeds repeat the luck of labels and
# weights, never that of the test images. That luck is in no interval here. It cancels in pairs only in part, on the images that
# both get right or both get wrong; `01_teacher` measured what is left, and for a gap of a point or two it matters.
#
# **In short.** Ranks say who wins more often, not by how much. Ten seeds of one data set are still one data set.
#
# ## A table to print
#
# A table without its settings cannot be repeated. `activekd-lab compare compare-runs --format latex` writes the tables
# above with published figures beside ours, where there are any, and ends with how the runs were made. Its start:

# %%
print(table.latex()[:700])

# %% [markdown]
# ## Paper, code, and here
#
# | | published (paper, abstract or repository) | the released code does | here |
# |---|---|---|---|
# | seeds behind a number |  | one, where the scripts run as they are | `seeds` |
# | how methods are compared | settings won: 64 of 73 |  | paired differences, Holm's correction, ranks |
# | one number a curve | accuracy at each round |  | area, final accuracy, label cost |
#
# **Open problem.** Active-learning curves of one run are correlated from round to round. Which test uses the whole
# curve without pretending that its points are independent?
#
# **Read on.** [Demšar 2006](https://jmlr.org/papers/v7/demsar06a.html) on ranks;
# [ActiveKD](https://arxiv.org/abs/2506.00910), tables of results. Words, symbols and all figures:
# [GLOSSARY](GLOSSARY.md).

# %% [markdown]
# ## What we learned
#
# 1. Area, final accuracy and label cost each make one number of a curve, and they need not agree on an order.
# 2. Equal seeds make pairs, and with five pairs Wilcoxon's test cannot reach 5%.
# 3. Each further question adds a chance of a wrong yes; Holm's correction brings it back to 5% or less.
# 4. Ranks ignore how large a win is, and seeds are no data sets.
#
# **Next.** Add `"shapes"` to `tasks` and run again (it takes some minutes). Pairs of both data sets are pooled: which
# differences are shown now that were not before, and is the answer still about the same question? `08_claims` asks it of
# every sentence of the two papers.

# %%
gaps = compared[["variant", "pairs", "difference", "p_holm"]].to_dict("records")
notebooks.finish(parameters, {"differences": gaps, "any_wrong": [float(any_wrong), float(any_wrong_holm)]})
