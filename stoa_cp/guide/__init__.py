"""The guide: pages in Markdown for people, served under /guide/ and printed by ``manage.py guide``.

``pages.topics`` lists the pages of ``templates/guide``, ``pages.read_page`` returns one as text, ``markdown.render``
turns text into HTML. A caller names a topic of that list and never a path. A page is rendered once per process.
"""
