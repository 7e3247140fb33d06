"""What a visitor does on the page."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page


def upload(page: Page, path: Path) -> None:
    page.set_input_files("#speech input[type=file]", path)
    page.locator("#speech").get_by_label("Clear").wait_for()  # only an uploaded recording can be cleared


def set_takes(page: Page, takes: int) -> None:
    fill(page, "#takes", str(takes))


def generate(page: Page) -> None:
    """Press Generate and wait for everything, the 3D view last."""
    page.locator("#generate").click()
    page.locator("#matched .name").wait_for()
    page.locator("#viewer canvas").wait_for()


def generate_and_read_error(page: Page) -> str:
    """Press Generate and give the sentence that the page shows."""
    page.locator("#generate").click()
    message = page.get_by_test_id("toast-text")
    message.wait_for()
    return message.inner_text()


def upload_face(page: Page, path: Path) -> None:
    page.get_by_text("Your own face").click()
    page.set_input_files("#face input[type=file]", path)
    page.locator("#face").get_by_text(path.suffix).first.wait_for()  # the list of files names it


def choose(page: Page, place: str, option: str) -> None:
    """Pick an option of a drop-down list."""
    page.locator(f"{place} input").click()
    page.get_by_role("option", name=option, exact=True).click()


def fill(page: Page, place: str, value: str) -> None:
    """Type a number into a slider's box or a number's."""
    box = page.locator(f"{place} input[type=number]")
    box.fill(value)
    box.blur()


def download(page: Page, place: str, name: str, folder: Path) -> Path:
    """Save one of the files that a list offers."""
    with page.expect_download() as started:
        page.locator(f"{place} a[download='{name}']").click()
    started.value.save_as(folder / name)
    return folder / name


def add_voice(page: Page, name: str) -> None:
    """Add the voice of the speech on the page as an identity."""
    page.locator("#voice-name input, #voice-name textarea").fill(name)
    page.locator("#add-voice").click()
