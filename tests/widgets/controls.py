"""Find a control in a widget as a reader would: by its description."""


def control(box, description):
    for child in getattr(box, "children", ()):
        if getattr(child, "description", None) == description:
            return child
        found = control(child, description)
        if found is not None:
            return found
    return None
