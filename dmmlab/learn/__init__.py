"""Learning: tasks, losses with their gradients, training, evolution, and Julia's random numbers."""

from dmmlab.learn.evolution import estimate_gradient, evolve
from dmmlab.learn.julia import initialize
from dmmlab.learn.objective import Objective
from dmmlab.learn.tasks import Task
from dmmlab.learn.training import Adam, Training, train

__all__ = ["Adam", "Objective", "Task", "Training", "estimate_gradient", "evolve", "initialize", "train"]
