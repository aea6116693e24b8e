"""Somebody at a face over real HTTP: the drills' own."""

from keten.drills.visitor import CEREMONY, OPTIONS, TOKEN, Answer, Visitor

__all__ = ["CEREMONY", "OPTIONS", "TOKEN", "Answer", "Visitor"]
