"""The composer: recipes, execution and the command lines."""
