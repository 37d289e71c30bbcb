"""Tools for this repository: they install what is missing, and start and stop the service and its storage.

They use the standard library only, as the first of them runs before anything is installed; `demo` alone needs
more.
"""
