"""Expressions for the split benchmark that were written before the rules they judge, and only ever counted.

``FRESH`` are single expressions with a mark inside; ``FRESH_SEVERAL`` are single expressions of several sentences.
``[...]`` marks what a generous annotator would box; MDETR's own rule looks at the text only.
"""

FRESH = """
[a portrait] of rev. king on [the wall]
[the capt. morgan bottle] on [the bar]
[Sen. Clinton] shaking [hands]
[a cake] from st. anne's bakery on [the counter]
[Mr. Potato Head] lying on [the carpet]
[mrs. smith's pie box] in [the freezer]
[the dr. scholl's ad] on [the bus stop]
[a st. patrick's day hat] on [the man]
[corner] of 42nd st. and broadway with [taxis]
[the St. James sign] above [the door]
[a mt. bike] leaning on [a fence]
[view] of Mt. Fuji from [the window]
[player] wearing no. 10 running with [the ball]
[locomotive no. 844] pulling [cars]
[the no. 7 horse] in [the race]
[boat no. 3] tied to [the dock]
[gate no. 22] at [the airport]
[ballot] with prop no. 8 on [a table]
[a road] approx. 20 ft. wide beside [the field]
[surfer] approx. 10 yds. from [shore]
[statue] approx. 3 ft. high on [the shelf]
[a 20 oz. bottle] of [soda] on [desk]
[the 5 lb. dumbbell] on [the mat]
[a 40 in. television] above [the fireplace]
[a 2 liter vs. a 12 oz. bottle] on [the shelf]
[sign] that says 3 mi. to [exit]
[the limit sign] says 25 m.p.h. on [the corner]
[phone] reads 9:15 p.m. on [its screen]
[a clock] that shows 3 a.m. hanging over [the bed]
[sign] parking from 8 a.m. to 6 p.m. on [a pole]
[the U.S. Open logo] behind [the player]
[a u.s. marine] in [uniform]
[the U.S.S. Missouri] in [the harbor]
[a U.K. passport] on [the table]
[a truck] from the u.s. army in [the parade]
[an L.A. Lakers jersey] on [the boy]
[the n.y. mets batter] at [the plate]
[the F.D.N.Y. truck] at [the curb]
[a d.c. metro train] at [the platform]
[a sign] for the Y.M.C.A. over [the entrance]
[J. P. Morgan building] behind [the trees]
[the B. Dalton store] next to [the cafe]
[a guitar] signed by B. B. King in [a case]
[jersey] of T. Brady hanging on [the wall]
[a box] of Ben and Jerry's inc. ice cream on [the table]
[the Ford Motor Co. sign] above [the garage]
[Tiffany & Co. bag] in [her hand]
[a Warner Bros. balloon] in [the parade]
[the Dow Corp. tower] next to [the river]
[the ken griffey jr. card] on [the table]
[robert downey jr. poster] on [the door]
[condiments] such as ketchup, mustard, etc. on [the tray]
[knives, forks, etc.] beside [the plate]
[bags, coats, etc. hanging] on [hooks]
[fruits], i.e. [apples] and [pears], in [the basket]
[kitchen items], e.g. [a kettle], on [the stove]
[lakers] vs. [celtics] on the scoreboard
[michigan ave. bridge] over [the river]
[the sunset blvd. street sign] on [the post]
[a mailbox] on willow rd. next to [the gate]
[the shop] on Baker St. with [a red door]
[kites]... high above [the beach]
[an elephant]... or two in [the water]
[the man]... he is [the catcher]
[waiting]... for [the bus]
[the sign] says stop... hammer time on [the pole]
[cat]... [dog] ... and [bird] on the rug
[a wave]... about to hit [the surfer]
[police dept. car] at [the corner]
[the dept. store] behind [the crosswalk]
[a date] stamp of Nov. 11 on [the photo]
[the word] Sept. on [the calendar]
[the word] Sat. above [the number]
[a shirt] with the letter r. on [the sleeve]
[the letters] e. t. on [the poster]
[fig. 7] in [the textbook]
[pg. 3] of [the newspaper]
[the vol. 4 comic] on [the pile]
[track no. 9 sign] over [the stairs]
[a Ph.D. student] holding [a laptop]
[the a.c. vents] under [the window]
[a p.a. speaker] above [the stage]
[the t.v. remote] on [the armrest]
[an r.v. behind] [the trees]
[a b.m.w. motorcycle] by [the wall]
[price tag] of 3.99 per lb. on [the bananas]
[melons] priced at 99 cts. each in [the bin]
[a bus] going to st. paul
[the flag] of the u.k.
[the tower] seen from elm st.
[the shirt] that says ok then...
[a tag] reading 16 oz.
[a shop] owned by macy's inc.
[the clock] shows 11 p.m.
[the baby] who is crying...
[a poster] of sammy sosa jr.
"""

FRESH_SEVERAL = """
[A man] in a suit. He holds [a phone]
[a cat] on the bed. it is asleep
[The kitchen] is clean. There is [a stove] by the window
[three kids]. one has [a kite]
[the girl] is jumping. She is wearing [pink shoes]
[man] with beard. on the left
[guy] in green. not the goalie
[the slice] of pizza. closest one
[white bowl]. top right corner
[The train] is blue. It has [two headlights]
[the horse] standing alone. its tail is long
[a street] at night. [The lights] are on
[This is a bathroom]. [The toilet] is white
[a man] riding a wave. He looks happy
[woman] by the tree. her dress is yellow
[two boys] playing. they have [a ball]
[an old truck]. The paint is peeling
[a table] outside. On it is [a vase]
[hot dog] on right. has mustard
[giraffe] in back. cant see his head
[the couch]. where the dog is sleeping
[the sky] is grey. Looks like rain
[someone] is skiing. They have [a red jacket]
[a sign]. It says no parking
[suitcase] in the middle. brown one
"""
