"""The look of the app: colours, corners and fonts that every system already has."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

CSS = Path(__file__).with_suffix(".css")
"""What a Gradio theme has no name for: header, identity bars, phone width."""

INK = gr.themes.Color(
    "#f7f6f9", "#eeecf2", "#dedbe6", "#c4bfd1", "#a099b1", "#7d7591", "#625a76", "#4a435c", "#332d43", "#211c2f",
    "#15111f", name="ink",
)  # fmt: skip
"""Neutral greys with a little violet, from paper to ink."""

CORAL = gr.themes.Color(
    "#fff3ef", "#ffe3da", "#ffc6b5", "#ffa189", "#fb7a5b", "#ea5a3a", "#c9432a", "#a83522", "#882d20", "#70291f",
    "#3d110b", name="coral",
)  # fmt: skip
"""The accent: lips."""


def theme() -> gr.themes.Base:
    """Gradio theme without web fonts: the page asks no other host for anything."""
    return gr.themes.Base(
        primary_hue=CORAL,
        secondary_hue=CORAL,
        neutral_hue=INK,
        radius_size=gr.themes.sizes.radius_lg,
        font=["ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="1px",
        block_border_color="*neutral_200",
        block_border_color_dark="*neutral_800",
        block_shadow="none",
        block_label_background_fill="*neutral_100",
        block_label_background_fill_dark="*neutral_800",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_300",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_500",
        button_primary_text_color="white",
        slider_color="*primary_500",
        slider_color_dark="*primary_500",
    )
