"""Words and phrases that carry a judgement, for the generated sentiment data set.

Entries are separated by commas. `general` adjectives fit any subject; the others belong to one
domain. A verb entry is "base/past" and takes an object ("I love/loved the soup"); a noun entry
follows "a" or "an"; a predicate entry follows a subject ("the soup <predicate>").
"""


def entries(text):
    """Returns the comma-separated entries of `text` as a tuple of str."""
    return tuple(" ".join(entry.split()) for entry in text.split(","))


POSITIVE = {
    "general": entries("""
        admirable, amazing, astonishing, awesome, beautiful, brilliant, charming, cheerful,
        classy, clever, commendable, compelling, cute, dazzling, delightful, divine, elegant,
        enchanting, amiable, enjoyable, enviable, excellent, exceptional, exhilarating,
        exquisite, fabulous, fantastic, fascinating, faultless, fine, flawless, fun, glorious,
        good, gorgeous, graceful, grand, gratifying, great, heavenly, honest, ideal,
        immaculate, impeccable, impressive, incredible, ingenious, inspired, inviting,
        irresistible, joyful, likeable, lovely, magical, magnificent, marvellous, masterful,
        memorable, neat, nice, outstanding, perfect, phenomenal, pleasant, polished,
        praiseworthy, priceless, rewarding, satisfying, sensational, skilful, smart,
        spectacular, splendid, stellar, striking, stunning, stylish, sublime, super, superb,
        superior, superlative, sweet, tasteful, terrific, thoughtful, thrilling, top-notch,
        tremendous, uplifting, valuable, vibrant, welcome, winning, wonderful, world-class,
        worthwhile, first-rate, breathtaking, noble, lively, refreshing, rich, remarkable,
        adorable, appealing, attractive, captivating, dependable, engaging, generous,
        heartwarming, imaginative, jolly, kind, laudable, meritorious, peerless, radiant,
        sincere, unforgettable, matchless, exemplary, blissful, stupendous, sparkling, warm"""),
    "film": entries("""
        absorbing, believable, funny, gripping, hilarious, insightful, stirring, original,
        poignant, profound, riveting, romantic, suspenseful, touching, witty, well acted,
        engrossing, tender, spellbinding, eloquent, mesmerizing, humorous, bittersweet,
        intelligent, daring"""),
    "food": entries("""
        appetizing, aromatic, crisp, crunchy, delicious, flavorful, fragrant, juicy, luscious,
        mouth-watering, savory, scrumptious, succulent, tasty, tempting, yummy, well seasoned,
        wholesome, nourishing, hearty, velvety, zesty, delectable, nutritious, buttery"""),
    "travel": entries("""
        comfortable, comfy, friendly, hospitable, idyllic, luxurious, peaceful, picturesque,
        quaint, relaxing, restful, scenic, serene, spacious, spotless, sunny, tidy, tranquil,
        hassle-free, welcoming, sunlit, panoramic, cozy, pretty, lush"""),
    "product": entries("""
        accurate, affordable, durable, easy to use, efficient, ergonomic, fast, handy,
        intuitive, long-lasting, powerful, practical, precise, reliable, responsive, robust,
        sleek, smooth, solid, sturdy, useful, versatile, well made, user-friendly, innovative"""),
    "verb": entries("""
        admire/admired, adore/adored, applaud/applauded, appreciate/appreciated,
        celebrate/celebrated, cherish/cherished, enjoy/enjoyed, like/liked, love/loved,
        praise/praised, prize/prized, recommend/recommended, relish/relished,
        respect/respected, salute/saluted, savor/savored, treasure/treasured, trust/trusted,
        value/valued, fancy/fancied, endorse/endorsed, welcome/welcomed, revere/revered,
        commend/commended, dig/dug, fall for/fell for, rave about/raved about, marvel
        at/marveled at, delight in/delighted in, bask in/basked in, swoon over/swooned over,
        gush over/gushed over"""),
    "noun": entries("""
        accomplishment, ace, asset, beauty, bargain, blessing, blast, bonus, champion,
        crowd-pleaser, delight, dream, feast, feat, gem, gift, godsend, hit, hoot,
        inspiration, jewel, joy, knockout, labor of love, lifesaver, marvel, masterclass,
        masterpiece, miracle, must-have, paradise, pearl, pleasure, revelation, showstopper,
        smash, standout, stroke of genius, success, treasure, treat, triumph, victory, winner,
        wonder, highlight, breath of fresh air, privilege, keeper, charmer, thrill,
        pick-me-up, virtuoso piece"""),
    "predicate": entries("""
        won me over, blew me away, made my day, put a smile on my face, hit the spot, knocked
        it out of the park, was worth every penny, ticked all the boxes, stole the show,
        warmed my heart, lifted my spirits, swept me off my feet, hit the nail on the head,
        deserved a standing ovation, left me grinning, had me laughing out loud, shone
        throughout, was second to none, was a cut above the rest, took my breath away,
        exceeded our hopes, surpassed all expectations, set the gold standard, earned five
        stars, was out of this world, was music to my ears, left us happy, left me wanting
        more, was the best in years, made everyone cheer, was on point, outdid its rivals,
        kept me glued, lit up the evening, came up trumps, was pure bliss, got two thumbs up,
        rocked, brightened our mood, left me in awe, touched my soul, had us hooked, worked
        like a charm, sailed through with flying colors, lived up to the hype, earned its keep"""),
}

NEGATIVE = {
    "general": entries("""
        abominable, abysmal, annoying, appalling, atrocious, awful, awkward, bad, banal,
        baffling, bland, bleak, boring, careless, clumsy, crass, crude, dated, deplorable,
        depressing, dire, disappointing, disastrous, disgraceful, disgusting, dismal,
        distasteful, dreadful, dreary, drab, dull, embarrassing, exasperating, feeble, flat,
        flawed, forgettable, frightful, frustrating, ghastly, grim, gross, half-hearted,
        half-baked, hateful, hideous, hopeless, horrendous, horrible, horrid, horrific,
        inadequate, incompetent, inept, inexcusable, inferior, insulting, irritating,
        laughable, lackluster, lame, lazy, lifeless, loathsome, lousy, mediocre, messy,
        miserable, monotonous, nasty, nauseating, obnoxious, offensive, off-putting, painful,
        pathetic, pitiful, pointless, poor, preposterous, putrid, regrettable, repellent,
        repulsive, ridiculous, rotten, rubbish, sad, second-rate, shabby, shameful, shoddy,
        sickening, sloppy, sorry, stupid, subpar, substandard, tacky, tasteless, tedious,
        terrible, tiresome, ugly, unacceptable, unbearable, underwhelming, uninspired,
        unpleasant, unsatisfying, useless, vile, vulgar, wasteful, weak, wearisome, woeful,
        unforgivable, worthless, wretched, wrong, abject, bogus, detestable, dishonest,
        gloomy, infuriating, joyless, lamentable, outrageous, revolting, soulless, trashy,
        ungainly, horrifying, crummy"""),
    "film": entries("""
        cliched, contrived, corny, derivative, muddled, formulaic, hackneyed, humorless,
        incoherent, long-winded, melodramatic, mindless, overlong, overacted, plodding,
        predictable, pretentious, sappy, shallow, stilted, unconvincing, unfunny, unoriginal,
        vapid, wooden"""),
    "food": entries("""
        burnt, chewy, flavorless, greasy, gristly, indigestible, inedible, lumpy, mealy,
        mushy, overcooked, oversalted, rancid, rubbery, slimy, soggy, sour, stale, stodgy,
        tough, undercooked, unappetizing, watery, spoiled, congealed"""),
    "travel": entries("""
        chaotic, cramped, dangerous, dilapidated, dingy, dirty, filthy, grimy, grubby,
        unwelcoming, decrepit, inhospitable, neglected, noisy, overcrowded, overpriced, damp,
        run-down, seedy, smelly, squalid, stuffy, moldy, uncomfortable, polluted"""),
    "product": entries("""
        brittle, broken, buggy, bulky, confusing, cumbersome, defective, dysfunctional,
        error-prone, faulty, flimsy, fragile, glitchy, impractical, inaccurate, ineffective,
        inefficient, laggy, rickety, sluggish, unreliable, unresponsive, unstable, wobbly,
        leaky"""),
    "verb": entries("""
        abhor/abhorred, begrudge/begrudged, condemn/condemned, curse/cursed, deplore/deplored,
        despise/despised, detest/detested, dislike/disliked, dread/dreaded, hate/hated,
        lament/lamented, loathe/loathed, mock/mocked, mourn/mourned, regret/regretted,
        resent/resented, reject/rejected, ridicule/ridiculed, scorn/scorned, slam/slammed,
        suffer through/suffered through, complain about/complained about, give up on/gave up
        on, cringe at/cringed at, groan at/groaned at, grumble about/grumbled about,
        denounce/denounced, distrust/distrusted, moan about/moaned about, sneer at/sneered at,
        yawn at/yawned at, criticize/criticized"""),
    "noun": entries("""
        abomination, annoyance, blunder, bore, botch, bust, calamity, catastrophe, chore,
        clunker, debacle, disappointment, disaster, disgrace, downer, dud, embarrassment,
        eyesore, failure, farce, fiasco, flop, fraud, headache, hoax, horror, insult, joke in
        poor taste, letdown, mess, misery, mishap, mistake, nightmare, nuisance,
        ordeal, outrage, pain, pity, rip-off, ruin, sham, shambles, shame, snooze, stinker,
        torment, tragedy, car crash, travesty, turkey, waste of money, yawn"""),
    "predicate": entries("""
        left me cold, bored me to tears, let us down, got on my nerves, fell flat, missed the
        mark, drove me up the wall, put me to sleep, made me cringe, ruined my evening,
        spoiled our mood, was not worth a dime, was all downhill, went from bad to worse,
        wasted my time, gave me a headache, stank, sucked, fell apart, crashed and burned,
        made my blood boil, left a bitter taste, was a kick in the teeth, turned my stomach,
        rubbed me the wrong way, did more harm than good, failed on every level, lacked any
        spark, ran out of steam, tested my patience, dragged on forever, made me want to
        leave, broke down at once, was beyond repair, was the last straw, deserved zero stars,
        made us angry, had everyone groaning, flopped badly, was riddled with problems, made
        us miserable, was doomed from the outset, fizzled out, was hard to stomach, bombed,
        came apart at the seams, disappointed everyone, was a kick below the belt"""),
}

ADJECTIVE_KINDS = ("general", "film", "food", "travel", "product")
