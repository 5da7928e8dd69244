"""How the app looks: a dark reading room, a light office, or what the system prefers. Nothing is fetched."""

_FONT = "system-ui, -apple-system, Segoe UI, Roboto, sans-serif"
_DARK = {
    "primaryColor": "#3d85b0",
    "backgroundColor": "#0d1117",
    "secondaryBackgroundColor": "#161c24",
    "textColor": "#d7dfe8",
    "linkColor": "#7fbce0",
    "borderColor": "#27303b",
    "redColor": "#e07a6f",
    "orangeColor": "#dba45c",
    "yellowColor": "#d9b871",
    "yellowTextColor": "#e3c791",
    "yellowBackgroundColor": "#2a2418",
    "greenColor": "#6fbf95",
    "blueColor": "#5fa8d3",
}
_LIGHT = {
    "primaryColor": "#2b6f9c",
    "backgroundColor": "#fbfcfd",
    "secondaryBackgroundColor": "#f0f3f6",
    "textColor": "#1d2733",
    "linkColor": "#2b6f9c",
    "borderColor": "#d8dfe6",
    "redColor": "#b5463a",
    "orangeColor": "#9a6410",
    "yellowColor": "#8a6a10",
    "yellowTextColor": "#6d5208",
    "yellowBackgroundColor": "#faf3df",
    "greenColor": "#2c7a51",
    "blueColor": "#2b6f9c",
}

_COMMON: dict[str, object] = {
    "theme.font": _FONT,
    "theme.headingFont": _FONT,
    "theme.baseRadius": "0.6rem",
    "theme.buttonRadius": "0.5rem",
    "theme.baseFontSize": 15,
}
_SIDEBARS = {"dark": "#10161d", "light": "#f3f6f8"}
_COLOURS = {"dark": _DARK, "light": _LIGHT}
THEMES = ("dark", "light", "system")


def theme_options(theme: str) -> dict[str, object]:
    """Streamlit's options for one of `THEMES`. With "system" the page's menu also lets the reader choose."""
    options = dict(_COMMON)
    if theme == "system":
        for name, colours in _COLOURS.items():
            options.update({f"theme.{name}.{key}": value for key, value in colours.items()})
            options[f"theme.{name}.sidebar.backgroundColor"] = _SIDEBARS[name]
        return options
    options["theme.base"] = theme
    options.update({f"theme.{key}": value for key, value in _COLOURS[theme].items()})
    options["theme.sidebar.backgroundColor"] = _SIDEBARS[theme]
    return options
