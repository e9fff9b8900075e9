"""How the search of the Chinese site splits words: Chinese has no spaces, so characters and pairs are terms."""

from __future__ import annotations

import re

from sphinx.search.en import SearchEnglish


class SearchChinese(SearchEnglish):  # type: ignore[misc]  # Sphinx is left out of the check
    """English words, stemmed, and the characters and pairs of each run of Chinese ones.

    The index holds both. What is searched is split into pairs in the browser, or is one character. So any phrase is
    found wherever its pairs stand, and no dictionary has to know it.
    """

    lang = "zh"

    # What takes the place of the `splitQuery` of Sphinx's searchtools.js.
    js_splitter_code = """
function splitQuery(query) {
  const terms = [];
  for (const word of query.match(/\\p{Script=Han}+|[\\p{L}\\p{N}_]+?(?=\\p{Script=Han}|[^\\p{L}\\p{N}_]|$)/gu) ?? []) {
    if (!/\\p{Script=Han}/u.test(word) || word.length === 1) terms.push(word);
    else for (let i = 0; i + 1 < word.length; i++) terms.push(word.slice(i, i + 2));
  }
  return terms;
}
"""

    def split(self, input: str) -> list[str]:  # noqa: A002 (Sphinx's name)
        """Return the terms of a text."""
        runs = re.findall(r"[\u4e00-\u9fff]+", input)
        pairs = [run[i : i + 2] for run in runs for i in range(len(run) - 1)]
        return [*super().split(re.sub(r"[\u4e00-\u9fff]+", " ", input)), *"".join(runs), *pairs]
